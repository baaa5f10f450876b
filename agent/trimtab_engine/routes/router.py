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
from trimtab_engine.intake import Intake
from trimtab_engine.log import Log
from trimtab_engine.metrics import RequestMetrics
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.routes.error_form import error_response
from trimtab_engine.routes.inference import InferenceEndpoint, log_defect
from trimtab_engine.routes.open_inference import OpenInference, server_metadata
from trimtab_engine.routes.openai_embeddings import OpenAIEmbeddings, OpenAIModels, model_asked_for
from trimtab_engine.routes.openapi import openapi_document

_METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_MODELS = "/v2/models/"
_INFER = "/infer"
_EMBEDDINGS = "/v1/embeddings"

Endpoint = Callable[[Request, Exchange], None]


class Router:
    """The application that the HTTP server calls with each complete request."""

    def __init__(self, engine: Engine, log: Log, version: str) -> None:
        self._engine = engine
        self._log = log
        self._listed = OpenAIModels(engine.intakes, created=int(time.time()))
        descriptions = [intake.description for intake in engine.intakes.values()]
        document, metadata = msgspec.json.encode(openapi_document(version, descriptions)), server_metadata(version)
        self._routes: dict[str, tuple[str, Endpoint]] = {
            "/v2": ("GET", _answer(lambda: Response(200, metadata))),
            "/v2/health/live": ("GET", _answer(lambda: Response(200, b'{"live":true}'))),
            "/v2/health/ready": ("GET", _answer(self._ready)),
            "/v1/models": ("GET", _answer(self._listed.all)),
            "/openapi.json": ("GET", _answer(lambda: Response(200, document))),
            "/metrics": ("GET", _answer(lambda: Response(200, engine.exposition(), _METRICS_TYPE))),
        }
        for intake in engine.intakes.values():
            self._add_model(intake)
        self._add_embeddings()

    @property
    def methods(self) -> dict[str, str]:
        """The method that each path accepts."""
        return {path: method for path, (method, _) in self._routes.items()}

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
            self._count(path, error)
            allow = (("Allow", route[0]),) if route is not None and isinstance(error, MethodNotAllowed) else ()
            exchange.reply(error_response(path, error, allow))
        except Exception as error:
            log_defect(self._log, error)
            exchange.reply(error_response(path, ModelFailed("an unexpected error; the server's log has the trace")))

    def refuse(self, path: str, error: EngineError) -> Response:
        """Give an error of the HTTP layer its form; refused inference requests are counted."""
        path = path.partition("?")[0]
        self._count(path, error)
        return error_response(path, error)

    def _add_model(self, intake: Intake) -> None:
        v2 = OpenInference(intake.description, lambda: intake.signature)
        infer = InferenceEndpoint(intake, v2.parse, self._log).handle
        self._routes[f"/v1/models/{intake.name}"] = ("GET", _answer(lambda: self._listed.one(intake.name)))
        ready = _answer(lambda: self._ready(name=intake.name))
        for base in (f"{_MODELS}{intake.name}", f"{_MODELS}{intake.name}/versions/{intake.description.version}"):
            self._routes[base] = ("GET", _answer(v2.model_metadata))
            self._routes[f"{base}/ready"] = ("GET", ready)
            self._routes[base + _INFER] = ("POST", infer)

    def _add_embeddings(self) -> None:
        endpoints: dict[str, Endpoint] = {
            name: InferenceEndpoint(intake, OpenAIEmbeddings(intake.description).parse, self._log).handle
            for name, intake in self._engine.intakes.items()
            if isinstance(intake.description, ModelDescription)
        }

        def choose(request: Request, exchange: Exchange) -> None:
            name = model_asked_for(request)
            if name not in endpoints:
                raise UnknownModel(
                    f"model {name[:128]!r} gives no embeddings here; those that do: {', '.join(endpoints)}"
                )
            endpoints[name](request, exchange)

        if endpoints:
            self._routes[_EMBEDDINGS] = ("POST", next(iter(endpoints.values())) if len(endpoints) == 1 else choose)

    def _count(self, path: str, error: EngineError) -> None:
        if path.endswith((_INFER, _EMBEDDINGS)):
            self._metrics_of(path).refused(error)

    def _metrics_of(self, path: str) -> RequestMetrics:
        name = unquote(path).removeprefix(_MODELS).partition("/")[0] if path.startswith(_MODELS) else ""
        return self._engine.metrics.models.get(name, self._engine.metrics.unnamed)

    def _unknown(self, path: str) -> EngineError:
        kind, _, rest = path.removeprefix("/").partition("/models/")
        name, _, below = unquote(rest).partition("/")
        known = name in self._engine.intakes and not below.startswith("versions/")
        if kind not in ("v1", "v2") or known:
            return UnknownPath(f"there is no {path[:200]}")
        served = (f"{name!r}, version {intake.description.version}" for name, intake in self._engine.intakes.items())
        return UnknownModel(f"{path[:200]} names no model or version served here; served is {'; '.join(served)}")

    def _ready(self, **named: str) -> Response:
        ready = self._engine.ready
        return Response(200 if ready else 503, msgspec.json.encode({**named, "ready": ready}))


def _answer(respond: Callable[[], Response]) -> Endpoint:
    def endpoint(_: Request, exchange: Exchange) -> None:
        exchange.reply(respond())

    return endpoint
