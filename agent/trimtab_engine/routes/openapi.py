"""GET /openapi.json: the HTTP surface as an OpenAPI 3.1 document, made from the tables that the routes use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from trimtab_engine import errors
from trimtab_engine.errors import EngineError
from trimtab_engine.jobs import MAX_PRIORITY
from trimtab_engine.model_directory import Description, ModelDescription
from trimtab_engine.routes import request_headers
from trimtab_engine.routes.error_form import OPENAI_PREFIX
from trimtab_engine.routes.inference import CACHE_HEADER, VERSION_HEADER
from trimtab_engine.routes.open_inference import HEADER_LENGTH
from trimtab_engine.routes.openapi_schemas import BYTES, components, ref

Json = dict[str, Any]

_MODEL = "/v2/models/{model_name}"
_VERSION = f"{_MODEL}/versions/{{model_version}}"
# What the HTTP layer answers before, or instead of, a route.
_OF_HTTP = (
    errors.BadRequest,
    errors.RequestTimeout,
    errors.TooLarge,
    errors.HeadersTooLarge,
    errors.TooManyConnections,
    errors.UnknownPath,
    errors.MethodNotAllowed,
)


class _Operation(NamedTuple):
    method: str
    path: str
    name: str
    summary: str
    answer: str  # the schema of a 200
    body: str | None = None  # the schema of the request; with one, it is an inference
    not_ready: bool = False  # it has an answer of its own for 503


_OPERATIONS = (
    _Operation("get", "/v2", "serverMetadata", "What this server is", "ServerMetadata"),
    _Operation("get", "/v2/health/live", "serverLive", "Whether the front runs", "Live"),
    _Operation("get", "/v2/health/ready", "serverReady", "Whether traffic should come", "Ready", not_ready=True),
    _Operation("get", _MODEL, "modelMetadata", "What a model takes and gives", "ModelMetadata"),
    _Operation("get", _VERSION, "modelVersionMetadata", "What a version of a model takes and gives", "ModelMetadata"),
    _Operation("get", f"{_MODEL}/ready", "modelReady", "Whether a model is ready", "Ready", not_ready=True),
    _Operation("get", f"{_VERSION}/ready", "modelVersionReady", "Whether a version is ready", "Ready", not_ready=True),
    _Operation("post", f"{_MODEL}/infer", "modelInfer", "Run a model", "InferAnswer", "InferBody"),
    _Operation("post", f"{_VERSION}/infer", "modelVersionInfer", "Run a version", "InferAnswer", "InferBody"),
    _Operation("post", "/v1/embeddings", "createEmbedding", "Embed texts", "Embeddings", "EmbeddingsBody"),
    _Operation("get", "/v1/models", "listModels", "The models served", "ModelList"),
    _Operation("get", "/v1/models/{model_name}", "retrieveModel", "One of the models served", "Model"),
    _Operation("get", "/metrics", "metrics", "Prometheus metrics", "text"),
    _Operation("get", "/openapi.json", "openapi", "This document", "OpenApi"),
)
_TEXT_ONLY = "/v1/embeddings"
_BINARY_BODY = "InferBody"  # by the binary extension bytes may follow the JSON, both ways
_MOST_BYTES = 1 << 30  # that TRIMTAB_MAX_BODY_BYTES accepts


def openapi_document(version: str, models: Sequence[Description]) -> Json:
    """Return the document of a server of that version that serves these models."""
    paths: dict[str, Json] = {}
    encoders = [model.name for model in models if isinstance(model, ModelDescription)]
    for operation in _OPERATIONS:
        if operation.path != _TEXT_ONLY or encoders:
            paths.setdefault(operation.path, {})[operation.method] = _described(operation, models)
    return {
        "openapi": "3.1.0",
        "info": {"title": "trimtab-engine", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components(encoders)},
    }


def reasons() -> Iterator[type[EngineError]]:
    """Yield every error that a client can be answered."""
    waiting = [EngineError]
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            if not kind.__name__.startswith("_"):
                yield kind


def _described(operation: _Operation, models: Sequence[Description]) -> Json:
    described: Json = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": {"200": _answer(operation), **_refusals(operation)},
    }
    parameters = list(_path_parameters(operation.path, models))
    if operation.body is not None:
        parameters += _header_parameters()
        content = _json(ref(operation.body))
        if operation.body == _BINARY_BODY:
            parameters.append(_header(HEADER_LENGTH, "Bytes of JSON before those of the tensors.", 0, _MOST_BYTES))
            content["application/octet-stream"] = {"schema": BYTES}
        described["requestBody"] = {"required": True, "content": content}
    if parameters:
        described["parameters"] = parameters
    return described


def _path_parameters(path: str, models: Sequence[Description]) -> Iterator[Json]:
    for name, values in (
        ("model_name", {model.name for model in models}),
        ("model_version", {model.version for model in models}),
    ):
        if f"{{{name}}}" in path:
            schema = {"type": "string", "enum": sorted(values)}
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameters() -> list[Json]:
    most = request_headers.MAX_BUDGET_SECONDS * 1000
    return [
        _header(request_headers.DEADLINE_HEADER, "Milliseconds from the request's first byte on.", -most, most),
        _header(request_headers.PROXY_TIMEOUT_HEADER, "Milliseconds; set by Envoy.", 0, most),
        _header(request_headers.PRIORITY_HEADER, f"0 = first, {MAX_PRIORITY} = last.", 0, MAX_PRIORITY),
    ]


def _header(name: str, description: str, low: int, high: int) -> Json:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _answer(operation: _Operation) -> Json:
    if operation.answer == "text":
        return {"description": "Done", "content": {"text/plain": {"schema": {"type": "string"}}}}
    answer: Json = {"description": "Done", "content": {"application/json": {"schema": ref(operation.answer)}}}
    if operation.body is not None:
        answer["headers"] = {name: _text_header() for name in (CACHE_HEADER, VERSION_HEADER)}
    if operation.body == _BINARY_BODY:
        answer["content"]["application/octet-stream"] = {"schema": BYTES}
    return answer


def _refusals(operation: _Operation) -> Json:
    by_status: dict[int, list[type[EngineError]]] = {}
    for kind in reasons():
        if operation.body is not None or kind in _OF_HTTP or _of_route(operation, kind):
            by_status.setdefault(kind.status, []).append(kind)
    return {str(status): _refusal(operation, kinds) for status, kinds in sorted(by_status.items())}


def _of_route(operation: _Operation, kind: type[EngineError]) -> bool:
    """Whether a route that runs no model may answer with this error."""
    if kind is errors.NotReady:  # a model of the user's own is known once a worker has loaded it
        return operation.answer == "ModelMetadata"
    return kind is errors.UnknownModel and "{" in operation.path


def _refusal(operation: _Operation, kinds: list[type[EngineError]]) -> Json:
    schema = ref("OpenAIError" if operation.path.startswith(OPENAI_PREFIX) else "Error")
    if operation.not_ready and kinds[0].status == 503:
        return {"description": "Not ready", "content": _json({"anyOf": [ref(operation.answer), schema]})}
    names = [kind.__name__ for kind in kinds]
    headers = {"trimtab-reason": {"required": True, "schema": {"type": "string", "enum": names}}}
    if all(kind.retry_after_seconds is not EngineError.retry_after_seconds for kind in kinds):
        headers["Retry-After"] = {"required": True, "schema": {"type": "integer", "minimum": 1}}
    description = "\n".join(f"* `{kind.__name__}`: {(kind.__doc__ or '').splitlines()[0]}" for kind in kinds)
    return {"description": description, "headers": headers, "content": _json(schema)}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _text_header() -> Json:
    return {"required": True, "schema": {"type": "string"}}
