"""Open Inference Protocol v2: server and model metadata, and inference with JSON or binary tensors."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from trimtab_engine.errors import BadRequest
from trimtab_engine.http_message import Request, Response
from trimtab_engine.jobs import Answer, InferenceInputs, TokenRow
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.routes import request_headers
from trimtab_engine.routes.inference import Headers, ParsedRequest
from trimtab_engine.routes.v2_tensors import InputTensor, attach_binary, texts, token_rows

_HEADER_LENGTH = "Inference-Header-Content-Length"
_OUTPUT = "embedding"
_MAX_ID_CHARACTERS = 256
_MAX_TIMEOUT_MICROSECONDS = 86_400_000_000


class RequestedOutput(msgspec.Struct):
    """An output that the client names."""

    name: str
    parameters: dict[str, Any] | None = None


class InferBody(msgspec.Struct):
    """The JSON part of POST …/infer."""

    inputs: list[InputTensor]
    id: str | None = None
    outputs: list[RequestedOutput] | None = None
    parameters: dict[str, Any] | None = None


_decoder = msgspec.json.Decoder(InferBody)


class OpenInference:
    """The protocol for one model."""

    def __init__(self, description: ModelDescription, version: str) -> None:
        self._description = description
        self.server_metadata = msgspec.json.encode(
            {"name": "trimtab-engine", "version": version, "extensions": ["binary_tensor_data"]}
        )
        self.model_metadata = msgspec.json.encode(
            {
                "name": description.name,
                "versions": [description.version],
                "platform": "pytorch",
                "inputs": [
                    {"name": "text", "datatype": "BYTES", "shape": [-1]},
                    {"name": "input_ids", "datatype": "INT64", "shape": [-1, -1]},
                    {"name": "attention_mask", "datatype": "INT64", "shape": [-1, -1]},
                ],
                "outputs": [{"name": _OUTPUT, "datatype": "FP32", "shape": [-1, description.width]}],
            }
        )

    def parse(self, request: Request) -> ParsedRequest:
        """Read an infer request.

        Raises:
            BadRequest: see the message.
        """
        request_headers.check_encoding(request)
        body, tail = _split(request)
        rows = self._rows(body, tail)
        inputs = InferenceInputs(rows, _budget_seconds(request, body), _priority(request, body))
        binary = _wants_binary(body)

        def render(answers: list[Answer], headers: Headers) -> Response:
            return self._render(answers, body.id, binary, headers)

        return ParsedRequest(inputs, render)

    def _rows(self, body: InferBody, tail: bytes) -> list[str] | list[TokenRow]:
        tensors = {tensor.name: tensor for tensor in body.inputs}
        if len(tensors) != len(body.inputs):
            raise BadRequest("two inputs have the same name")
        chunks = attach_binary(body.inputs, tail)
        if tensors.keys() == {"text"}:
            return texts(tensors["text"], chunks.get("text"))
        if tensors.keys() in ({"input_ids"}, {"input_ids", "attention_mask"}):
            return token_rows(tensors, chunks, self._description)
        names = ", ".join(sorted(name[:40] for name in tensors)[:8])
        raise BadRequest(f"the inputs are [{names}]; accepted are text, or input_ids with attention_mask")

    def _render(self, answers: list[Answer], request_id: str | None, binary: bool, headers: Headers) -> Response:
        vectors = b"".join([answer.data for answer in answers])
        output: dict[str, Any] = {
            "name": _OUTPUT,
            "datatype": "FP32",
            "shape": [len(answers), self._description.width],
        }
        if binary:
            output["parameters"] = {"binary_data_size": len(vectors)}
        else:
            output["data"] = np.frombuffer(vectors, "<f4").tolist()
        head: dict[str, Any] = {"model_name": self._description.name, "model_version": self._description.version}
        if request_id is not None:
            head["id"] = request_id
        head["outputs"] = [output]
        encoded = msgspec.json.encode(head)
        if not binary:
            return Response(200, encoded, headers=headers)
        headers = (*headers, (_HEADER_LENGTH, str(len(encoded))))
        return Response(200, encoded + vectors, b"application/octet-stream", headers)


def _split(request: Request) -> tuple[InferBody, bytes]:
    length_text = request.header(_HEADER_LENGTH.lower().encode())
    head, tail = request.body, b""
    if length_text is not None:
        if not (length_text.isdecimal() and length_text.isascii()) or int(length_text[:12]) > len(request.body):
            raise BadRequest(
                f"{_HEADER_LENGTH} is {length_text[:40]!r}; accepted is 0 to the body's {len(request.body)} bytes"
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
    """Read the header, else the parameter `timeout` (microseconds, 0 = none) as Triton has it."""
    from_header = request_headers.budget_seconds(request)
    timeout = (body.parameters or {}).get("timeout")
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int) or not 0 <= timeout <= _MAX_TIMEOUT_MICROSECONDS
    ):
        raise BadRequest(f"parameter timeout is {timeout!r}; accepted are whole microseconds from 0 (none) to 24 h")
    if from_header is not None:
        return from_header
    return timeout / 1e6 if timeout else None


def _priority(request: Request, body: InferBody) -> int:
    from_header = request_headers.priority(request)
    value = (body.parameters or {}).get("priority", 0)
    from_body = request_headers.check_priority(value, "parameter priority")
    return from_body if from_header is None else from_header


def _wants_binary(body: InferBody) -> bool:
    """Per output, else for all outputs of the request; JSON by default."""
    default = _flag(body.parameters, "binary_data_output", default=False)
    if not body.outputs:
        return default
    if [output.name for output in body.outputs] != [_OUTPUT]:
        names = ", ".join(output.name[:40] for output in body.outputs[:8])
        raise BadRequest(f"the outputs asked for are [{names}]; accepted is {_OUTPUT}")
    parameters = body.outputs[0].parameters
    if parameters and "classification" in parameters:
        raise BadRequest("output parameter classification is not offered for embeddings")
    return _flag(parameters, "binary_data", default=default)


def _flag(parameters: dict[str, Any] | None, name: str, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"parameter {name} is {value!r}; accepted are true and false")
    return value
