"""Open Inference Protocol v2: server and model metadata, and inference with JSON or binary tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trimtab_engine.errors import BadRequest, NotReady
from trimtab_engine.http_message import Request, Response
from trimtab_engine.jobs import Answer, InferenceInputs, TensorRow, TokenRow
from trimtab_engine.model_directory import Description, ModelDescription
from trimtab_engine.routes import request_headers
from trimtab_engine.routes.inference import Headers, ParsedRequest
from trimtab_engine.routes.v2_outputs import RequestedOutput, WantedOutput, output_tensors, wanted_outputs
from trimtab_engine.routes.v2_rows import tensor_rows
from trimtab_engine.routes.v2_tensors import InputTensor, attach_binary, texts, token_rows
from trimtab_engine.signature import DATATYPES, Signature, TensorSpec, text_signature

HEADER_LENGTH = "Inference-Header-Content-Length"
_TEXT_INPUTS = (
    {"name": "text", "datatype": "BYTES", "shape": [-1]},
    {"name": "input_ids", "datatype": "INT64", "shape": [-1, -1]},
    {"name": "attention_mask", "datatype": "INT64", "shape": [-1, -1]},
)
_MAX_ID_CHARACTERS = 256
_MAX_TIMEOUT_MICROSECONDS = 86_400_000_000


class InferBody(msgspec.Struct):
    """The JSON part of POST …/infer."""

    inputs: list[InputTensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(InferBody)


class OpenInference:
    """The protocol for one model; `signature` tells what it takes and gives, None while no worker has told."""

    def __init__(
        self, description: Description, version: str, signature: Callable[[], Signature | None] = lambda: None
    ) -> None:
        self._description = description
        self._reported = signature
        self._text = description if isinstance(description, ModelDescription) else None
        self._known = None if self._text is None else text_signature(self._text.width, self._text.max_tokens)
        self.server_metadata = msgspec.json.encode(
            {"name": "trimtab-engine", "version": version, "extensions": ["binary_tensor_data"]}
        )

    def model_metadata(self) -> Response:
        """GET the model.

        Raises:
            NotReady: what it takes is not known yet.
        """
        signature = self._signature()
        inputs = _TEXT_INPUTS if self._text is not None else [_declared(spec) for spec in signature.inputs]
        body = {
            "name": self._description.name,
            "versions": [self._description.version],
            "platform": "pytorch",
            "inputs": inputs,
            "outputs": [_declared(spec) for spec in signature.outputs],
        }
        return Response(200, msgspec.json.encode(body))

    def parse(self, request: Request) -> ParsedRequest:
        """Read an infer request.

        Raises:
            BadRequest, NotReady: see the message.
        """
        request_headers.check_encoding(request)
        body, tail = _split(request)
        signature = self._signature()
        rows = self._rows(body, tail, signature)
        inputs = InferenceInputs(rows, _budget_seconds(request, body), _priority(request, body))
        wanted = wanted_outputs(body.outputs, body.parameters, signature.outputs)

        def render(answers: list[Answer], headers: Headers) -> Response:
            return self._render(answers, body.id, signature.outputs, wanted, headers)

        return ParsedRequest(inputs, render)

    def _signature(self) -> Signature:
        if self._known is None:
            self._known = self._reported()
        if self._known is None:
            raise NotReady("the model is still loading")
        return self._known

    def _rows(self, body: InferBody, tail: bytes, signature: Signature) -> list[str] | list[TokenRow] | list[TensorRow]:
        tensors = {tensor.name: tensor for tensor in body.inputs}
        if len(tensors) != len(body.inputs):
            raise BadRequest("two inputs have the same name")
        chunks = attach_binary(body.inputs, tail)
        if self._text is None:
            return tensor_rows(tensors, chunks, signature)
        if tensors.keys() == {"text"}:
            return texts(tensors["text"], chunks.get("text"))
        if tensors.keys() in ({"input_ids"}, {"input_ids", "attention_mask"}):
            return token_rows(tensors, chunks, self._text)
        names = ", ".join(sorted(name[:40] for name in tensors)[:8])
        raise BadRequest(f"the inputs are [{names}]; accepted are text, or input_ids with attention_mask")

    def _render(
        self,
        answers: list[Answer],
        request_id: str | None,
        declared: tuple[TensorSpec, ...],
        wanted: list[WantedOutput],
        headers: Headers,
    ) -> Response:
        outputs, tail = output_tensors(answers, declared, wanted)
        head: dict[str, Any] = {"model_name": self._description.name, "model_version": self._description.version}
        if request_id is not None:
            head["id"] = request_id
        head["outputs"] = outputs
        encoded = msgspec.json.encode(head)
        if not any(output.binary for output in wanted):
            return Response(200, encoded, headers=headers)
        headers = (*headers, (HEADER_LENGTH, str(len(encoded))))
        return Response(200, encoded + tail, b"application/octet-stream", headers)


def _declared(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": [-1, *spec.shape]}


def _split(request: Request) -> tuple[InferBody, bytes]:
    length_text = request.header(HEADER_LENGTH.lower().encode())
    head, tail = request.body, b""
    if length_text is not None:
        if not (length_text.isdecimal() and length_text.isascii()) or int(length_text[:12]) > len(request.body):
            raise BadRequest(
                f"{HEADER_LENGTH} is {length_text[:40]!r}; accepted is 0 to the body's {len(request.body)} bytes"
            )
        head, tail = request.body[: int(length_text)], request.body[int(length_text) :]
    try:
        body = _decoder.decode(head)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the JSON body cannot be read: {error or 'nested too deeply'}") from error
    if body.id is not None and len(body.id) > _MAX_ID_CHARACTERS:
        raise BadRequest(f"id has {len(body.id)} characters; accepted are up to {_MAX_ID_CHARACTERS}")
    return body, tail


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
