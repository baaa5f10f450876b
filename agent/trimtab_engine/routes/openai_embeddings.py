"""POST /v1/embeddings and GET /v1/models as OpenAI's API has them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import numpy as np

from trimtab_engine.errors import BadRequest, UnknownModel
from trimtab_engine.http_message import Request, Response
from trimtab_engine.jobs import Answer, InferenceInputs, TokenRow
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.routes import request_headers
from trimtab_engine.routes.inference import Headers, ParsedRequest, read_json
from trimtab_engine.tokens import check_token_row


class EmbeddingsBody(msgspec.Struct):
    """The body; fields that change nothing here, such as `user`, are ignored as OpenAI's servers do."""

    input: Any
    model: str
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


_decoder = msgspec.json.Decoder(EmbeddingsBody)


class OpenAIModels:
    """The list of models. `created` is a Unix time."""

    def __init__(self, names: Iterable[str], created: int) -> None:
        self._models = {
            name: {"id": name, "object": "model", "created": created, "owned_by": "trimtab"} for name in names
        }

    def all(self) -> Response:
        """GET /v1/models."""
        return Response(200, msgspec.json.encode({"object": "list", "data": list(self._models.values())}))

    def one(self, name: str) -> Response:
        """GET /v1/models/{name}."""
        return Response(200, msgspec.json.encode(self._models[name]))


class _Named(msgspec.Struct):
    model: str


_name_decoder = msgspec.json.Decoder(_Named)


def model_asked_for(request: Request) -> str:
    """Return the model that an embeddings request names.

    Raises:
        BadRequest: the body names none, or cannot be read.
    """
    request_headers.check_encoding(request)
    return read_json(_name_decoder, request.body).model


class OpenAIEmbeddings:
    """The API for one text model."""

    def __init__(self, description: ModelDescription) -> None:
        self._description = description

    def parse(self, request: Request) -> ParsedRequest:
        """Read an embeddings request.

        Raises:
            BadRequest, UnknownModel: see the message.
        """
        request_headers.check_encoding(request)
        body = read_json(_decoder, request.body)
        if body.model != self._description.name:
            raise UnknownModel(f"model {body.model[:128]!r} is not served here; served is {self._description.name!r}")
        if body.dimensions not in (None, self._description.width):
            raise BadRequest(
                f"dimensions is {body.dimensions}; this model gives {self._description.width}", param="dimensions"
            )
        budget = request_headers.budget_seconds(request)
        inputs = InferenceInputs(self._rows(body.input), budget, request_headers.priority(request) or 0)

        def render(answers: list[Answer], headers: Headers) -> Response:
            return self._render(answers, body.encoding_format, headers)

        return ParsedRequest(inputs, render)

    def _rows(self, value: object) -> list[str] | list[TokenRow]:
        """Accept a string, a list of strings, one list of token ids, or a list of such lists."""
        if isinstance(value, str):
            return [value]
        if not isinstance(value, list) or not value:
            raise _wrong_input("it is empty or neither a string nor a list")
        if all(isinstance(element, str) for element in value):
            return value
        if all(isinstance(element, list) for element in value):
            return [self._token_row(element, index) for index, element in enumerate(value)]
        return [self._token_row(value, 0)]

    def _token_row(self, ids: list[object], index: int) -> TokenRow:
        # The bound keeps the numbers inside int32; the vocabulary is checked with the row.
        if not all(type(token) is int and -1 <= token < 1 << 31 for token in ids):
            raise _wrong_input(f"element {index} is no list of token ids")
        row = TokenRow(np.array(ids, dtype=np.int32))
        check_token_row(row, self._description, "input", index)
        return row

    def _render(self, answers: list[Answer], encoding: str, headers: Headers) -> Response:
        tokens = sum(answer.length for answer in answers)
        data = [
            {"object": "embedding", "index": index, "embedding": _encode(answer.data, encoding)}
            for index, answer in enumerate(answers)
        ]
        body = {
            "object": "list",
            "data": data,
            "model": self._description.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return Response(200, msgspec.json.encode(body), headers=headers)


def _encode(vector: bytes, encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector).decode()
    numbers: list[float] = np.frombuffer(vector, "<f4").tolist()
    return numbers


def _wrong_input(why: str) -> BadRequest:
    return BadRequest(
        f"input: {why}; accepted are a string, a list of strings, a list of token ids or a list of such lists",
        param="input",
    )
