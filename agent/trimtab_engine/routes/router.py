"""Which path answers what."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from trimtab_engine.engine import Engine
from trimtab_engine.errors import EngineError, MethodNotAllowed, ModelFailed, UnknownModel, UnknownPath
from trimtab_engine.http_exchange import Exchange
from trimtab_engine.http_message import Request, Response
from trimtab_engine.log import Log
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.routes.error_form import error_response
from trimtab_engine.routes.inference import InferenceEndpoint, log_defect
from trimtab_engine.routes.open_inference import OpenInference
from trimtab_engine.routes.openai_embeddings import OpenAIEmbeddings, OpenAIModels

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_INFER = "infer"

Endpoint = Callable[[Request, Exchange], None]


class Router:
    """The application that the HTTP server calls with each complete request."""

    def __init__(self, engine: Engine, log: Log, version: str) -> None:
        self._engine = engine
        self._log = log
        self._v2 = OpenInference(engine.description, version, lambda: engine.signature)
        listed = OpenAIModels(engine.description.name, created=int(time.time()))
        infer = InferenceEndpoint(engine, self._v2.parse, log).handle
        name, model_version = engine.description.name, engine.description.version
        self._model_paths = (f"/v2/models/{name}", f"/v2/models/{name}/versions/{model_version}")
        self._routes: dict[str, tuple[str, Endpoint]] = {
            "/v2": ("GET", _answer(lambda: Response(200, self._v2.server_metadata))),
            "/v2/health/live": ("GET", _answer(lambda: Response(200, b'{"live":true}'))),
            "/v2/health/ready": ("GET", _answer(self._ready)),
            "/v1/models": ("GET", _answer(listed.all)),
            f"/v1/models/{name}": ("GET", _answer(listed.one)),
            "/metrics": ("GET", _answer(lambda: Response(200, engine.exposition(), _METRICS_TYPE))),
        }
        if isinstance(engine.description, ModelDescription):
            openai = OpenAIEmbeddings(engine.description)
            self._routes["/v1/embeddings"] = ("POST", InferenceEndpoint(engine, openai.parse, log).handle)
        for base in self._model_paths:
            self._routes[base] = ("GET", _answer(self._v2.model_metadata))
            self._routes[f"{base}/ready"] = ("GET", _answer(self._model_ready))
            self._routes[f"{base}/{_INFER}"] = ("POST", infer)

    def handle(self, request: Request, exchange: Exchange) -> None:
        """Answer one request, now or later. Raises nothing."""
        path = request.path
        route = self._routes.get(path) or self._routes.get(unquote(path).rstrip("/"))
        try:
            if route is None:
                raise self._unknown(path)
            method, endpoint = route
            if request.method != method:
                raise MethodNotAllowed(f"{path} accepts {method}, not {request.method}")
            endpoint(request, exchange)
        except EngineError as error:
            if path.endswith(f"/{_INFER}"):
                self._engine.metrics.refused(error)
            allow = (("Allow", route[0]),) if route is not None and isinstance(error, MethodNotAllowed) else ()
            exchange.reply(error_response(path, error, allow))
        except Exception as error:
            log_defect(self._log, error)
            exchange.reply(error_response(path, ModelFailed("an unexpected error; the server's log has the trace")))

    def refuse(self, path: str, error: EngineError) -> Response:
        """Give an error of the HTTP layer its form; refused inference requests are counted."""
        path = path.partition("?")[0]
        if path.endswith((f"/{_INFER}", "/v1/embeddings")):
            self._engine.metrics.refused(error)
        return error_response(path, error)

    def _unknown(self, path: str) -> EngineError:
        of_another = path.startswith(("/v2/models/", "/v1/models/")) and not path.startswith(self._model_paths[0] + "/")
        if of_another or path.startswith(f"{self._model_paths[0]}/versions/"):
            return UnknownModel(
                f"{path[:200]} names no model or version served here; served is {self._engine.description.name!r}, "
                f"version {self._engine.description.version}"
            )
        return UnknownPath(f"there is no {path[:200]}")

    def _ready(self) -> Response:
        if self._engine.ready:
            return Response(200, b'{"ready":true}')
        return Response(503, b'{"ready":false}')

    def _model_ready(self) -> Response:
        name = msgspec.json.encode(self._engine.description.name)
        state = b"true" if self._engine.ready else b"false"
        return Response(200 if self._engine.ready else 503, b'{"name":' + name + b',"ready":' + state + b"}")


def _answer(respond: Callable[[], Response]) -> Endpoint:
    def endpoint(_: Request, exchange: Exchange) -> None:
        exchange.reply(respond())

    return endpoint
