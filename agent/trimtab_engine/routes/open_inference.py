"""Open Inference Protocol v2: server and model metadata, and inference with JSON or binary tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import msgspec

from trimtab_engine.errors import BadRequest, NotReady
from trimtab_engine.http_message import Request, Response
from trimtab_engine.jobs import Answer, InferenceInputs, TensorRow, TokenRow
from trimtab_engine.model_directory import Description, ModelDescription
from trimtab_engine.routes import request_headers
from trimtab_engine.routes.inference import Headers, ParsedRequest, read_json
from trimtab_engine.routes.v2_outputs import OutputForm, RequestedOutput, wanted_outputs
from trimtab_engine.routes.v2_rows import ShortRow, tensor_rows
from trimtab_engine.routes.v2_tensors import InputTensor, attach_binary, texts, token_rows
from trimtab_engine.signature import DATATYPES, Signature, TensorSpec, text_signature

HEADER_LENGTH = "Inference-Header-Content-Length"
_HEADER_LENGTH_KEY = HEADER_LENGTH.lower().encode()
_HEADERS = request_headers.READ | {_HEADER_LENGTH_KEY}  # what is read here; most requests have none of them
_TEXT_INPUTS = (
    {"name": "text", "datatype": "BYTES", "shape": [-1]},
    {"name": "input_ids", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "attention_mask", "datatype": "INT64", "shape": [-1, -1]},
)
_MAX_ID_CHARACTERS = 256
_MAX_TIMEOUT_MICROSECONDS = request_headers.MAX_BUDGET_SECONDS * 1_000_000


class InferBody(msgspec.Struct):
    """The JSON part of POST …/infer."""

    inputs: list[InputTensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(InferBody)
_encode = msgspec.json.encode


class _Model(NamedTuple):
    """What is made once, when it is known what the model takes and gives."""

    signature: Signature
    short_row: ShortRow
    all_outputs: OutputForm


def _known(signature: Signature) -> _Model:
    outputs = signature.outputs
    return _Model(signature, ShortRow(signature), OutputForm(outputs, wanted_outputs(None, None, outputs)))


def server_metadata(version: str) -> bytes:
    """Return what GET /v2 answers for a server of that version."""
    return _encode({"name": "trimtab-engine", "version": version, "extensions": ["binary_tensor_data"]})


class OpenInference:
    """The protocol for one model; `signature` tells what it takes and gives, None while no worker has told."""

    def __init__(self, description: Description, signature: Callable[[], Signature | None] = lambda: None) -> None:
        self._description = description
        self._reported = signature
        self._text = description if isinstance(description, ModelDescription) else None
        self._model = None if self._text is None else _known(text_signature(self._text.width, self._text.max_tokens))
        self._opening = b'{"model_name":%s,"model_version":%s,' % (
            _encode(description.name),
            _encode(description.version),
        )

    def model_metadata(self) -> Response:
        """GET the model.

        Raises:
            NotReady: what it takes is not known yet.
        """
        signature = self._known_model().signature
        inputs = _TEXT_INPUTS if self._text is not None else [_declared(spec) for spec in signature.inputs]
        body = {
            "name": self._description.name,
            "versions": [self._description.version],
            "platform": "pytorch",
            "inputs": inputs,
            "outputs": [_declared(spec) for spec in signature.outputs],
        }
        return Response(200, _encode(body))

    def parse(self, request: Request) -> ParsedRequest:
        """Read an infer request.

        Raises:
            BadRequest, NotReady: see the message.
        """
        model = self._known_model()
        plain = _HEADERS.isdisjoint(request.headers)
        if not plain:
            request_headers.check_encoding(request)
        body, tail = (_decode(request.body), b"") if plain else _split(request)
        rows = self._rows(body, tail, model)
        parameters = body.parameters
        if plain and parameters is None:
            inputs = InferenceInputs(rows, None, 0)
        else:
            inputs = InferenceInputs(rows, _budget_seconds(request, body), _priority(request, body))
        form = model.all_outputs
        if body.outputs or parameters is not None:
            outputs = model.signature.outputs
            form = OutputForm(outputs, wanted_outputs(body.outputs, parameters, outputs))
        return ParsedRequest(inputs, partial(self._render, form, body.id))

    def _known_model(self) -> _Model:
        if self._model is None:
            signature = self._reported()
            if signature is None:
                raise NotReady("the model is still loading")
            self._model = _known(signature)
        return self._model

    def _rows(self, body: InferBody, tail: bytes, model: _Model) -> list[str] | list[TokenRow] | list[TensorRow]:
        if not tail and (short := model.short_row.read(body.inputs)) is not None:
            return short
        tensors = {tensor.name: tensor for tensor in body.inputs}
        if len(tensors) != len(body.inputs):
            raise BadRequest("two inputs have the same name")
        chunks = attach_binary(body.inputs, tail)
        if self._text is None:
            return tensor_rows(tensors, chunks, model.signature)
        if tensors.keys() == {"text"}:
            return texts(tensors["text"], chunks.get("text"))
        if tensors.keys() in ({"input_ids"}, {"input_ids", "attention_mask"}):
            return token_rows(tensors, chunks, self._text)
        names = ", ".join(sorted(name[:40] for name in tensors)[:8])
        raise BadRequest(f"the inputs are [{names}]; accepted are text, or input_ids with attention_mask")

    def _render(self, form: OutputForm, request_id: str | None, answers: list[Answer], headers: Headers) -> Response:
        outputs, tail = form.write(answers)
        given_id = b"" if request_id is None else b'"id":%s,' % _encode(request_id)
        head = b'%s%s"outputs":%s}' % (self._opening, given_id, outputs)
        if not form.binary:
            return Response(200, head, headers=headers)
        headers = (*headers, (HEADER_LENGTH, str(len(head))))
        return Response(200, head + tail, b"application/octet-stream", headers)


def _declared(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": [-1, *spec.shape]}


def _split(request: Request) -> tuple[InferBody, bytes]:
    length_text = request.header(_HEADER_LENGTH_KEY)
    head, tail = request.body, b""
    if length_text is not None:
        if not (length_text.isdecimal() and length_text.isascii()) or int(length_text[:12]) > len(request.body):
            raise BadRequest(
                f"{HEADER_LENGTH} is {length_text[:40]!r}; accepted is 0 to the body's {len(request.body)} bytes"
            )
        head, tail = request.body[: int(length_text)], request.body[int(length_text) :]
    return _decode(head), tail


def _decode(head: bytes) -> InferBody:
    body = read_json(_decoder, head)
    if body.id is not None and len(body.id) > _MAX_ID_CHARACTERS:
        raise BadRequest(f"id has {len(body.id)} characters; accepted are up to {_MAX_ID_CHARACTERS}")
    return body


def _budget_seconds(request: Request, body: InferBody) -> float | None:
    """Read the headers and the parameter `timeout` (microseconds, 0 = none) as Triton has it."""
    timeout = (body.parameters or {}).get("timeout")
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int) or not 0 <= timeout <= _MAX_TIMEOUT_MICROSECONDS
    ):
        raise BadRequest(f"parameter timeout is {timeout!r}; accepted are whole microseconds from 0 (none) to 24 h")
    return request_headers.budget_seconds(request, timeout / 1e6 if timeout else None)


def _priority(request: Request, body: InferBody) -> int:
    from_header = request_headers.priority(request)
    value = (body.parameters or {}).get("priority", 0)
    from_body = request_headers.check_priority(value, "parameter priority")
    return from_body if from_header is None else from_header
