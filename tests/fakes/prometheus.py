"""Prometheus, scripted by signal: what each pod's series say at a time. Behind the operator's port, and over HTTP.

Queries are recognised by the runtimes' own templates, so a fake answers exactly what the operator asks; whether the
PromQL itself is right is the business of the contract tests on a real Prometheus.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.observation.feeds import AGENT_FRESHNESS, AGENT_GPUS, DCGM_FRESHNESS
from trimtab_operator.observation.labels import PLAIN, PodLabels
from trimtab_operator.observation.prometheus import Answer, Row
from trimtab_operator.runtimes.select import RUNTIMES, queries_for
from trimtab_operator.runtimes.table import Query

Value = float | Callable[[float], float | None]
"""Of each pod: a number, or a function of the time (unix seconds)."""

Windowed = Callable[[str, float, float], dict[str, float]]
"""Of one pod at a time, over the window of the query (seconds): values by bound; by "" where it is no histogram."""

WINDOW = re.compile(r"\[(\d+)s\]")


def _pattern(template: str) -> re.Pattern[str]:
    text = re.escape(template)
    for name in ("window", "selector", "namespace_label", "pod_label"):
        text = text.replace(rf"\${name}", ".*?")
    return re.compile(text, re.DOTALL)


# Longest first: the text of one template may begin that of another.
SIGNAL_PATTERNS = [
    (_pattern(query.promql), query)
    for query in sorted(
        {*queries_for("trimtab", "agent"), *queries_for("vllm", "dcgm"), *queries_for("trimtab", "dcgm")},
        key=lambda query: (-len(query.promql), query.promql),
    )
]
FRESHNESS = [(_pattern(runtime.freshness), "engine") for runtime in RUNTIMES.values()] + [
    (_pattern(AGENT_FRESHNESS), "agent"),
    (_pattern(DCGM_FRESHNESS), "dcgm"),
]
LAYER_TIME = _pattern(RUNTIMES["trimtab"].layer_time)
ERROR_REASONS = _pattern(RUNTIMES["trimtab"].error_reasons)
PERCENTILES = [
    (re.compile(rf"histogram_quantile\(0\.\d+, {pattern.pattern}\)", re.DOTALL), query)
    for pattern, query in SIGNAL_PATTERNS
    if query.kind == "histogram"
]
INTERVALS = [_pattern(runtime.scrape_interval) for runtime in RUNTIMES.values()]
GPUS = _pattern(AGENT_GPUS)


@cache
def _asked(query: str) -> Query | tuple[str, str] | None:
    """A signal, or (what is no signal, who exposes it; shares by the label that splits them); None for the unknown."""
    for what, patterns in (
        ("freshness", FRESHNESS),
        ("interval", [(pattern, "engine") for pattern in INTERVALS]),
        ("gpus", [(GPUS, "agent")]),
        ("layer_kind", [(LAYER_TIME, "engine")]),
        ("outcome", [(ERROR_REASONS, "engine")]),
    ):
        for pattern, source in patterns:
            if pattern.fullmatch(query):
                return what, source
    return next((known for pattern, known in SIGNAL_PATTERNS if pattern.fullmatch(query)), None)


@dataclass
class FakePrometheus:
    """`pods` says which pods are scraped now; a pod answers from the moment it is first seen."""

    pods: Callable[[], Iterable[tuple[str, str]]]
    values: dict[Signal, Value] = field(default_factory=dict)
    per_pod: dict[Signal, Callable[[str, float], float | None]] = field(default_factory=dict)  # of one pod at a time
    histograms: dict[Signal, Callable[[float], dict[str, float]]] = field(default_factory=dict)
    windowed: dict[Signal, Windowed] = field(default_factory=dict)  # in place of all that
    percentiles: dict[Signal, Value] = field(default_factory=dict)  # of a histogram, whatever percentile is asked for
    error_reasons: dict[str, float] = field(default_factory=dict)  # errors per second by reason, of each pod
    layer_time: dict[str, float] = field(default_factory=dict)  # share of a pass by kind of layer, of each pod
    scrape_interval_seconds: float = 5.0
    labels: PodLabels = PLAIN
    sources: set[str] = field(default_factory=lambda: {"engine", "agent"})
    simulated_gpus: bool | None = None
    down: bool = False
    warning: str = ""
    sample_age_seconds: float = 1.0
    silent: set[str] = field(default_factory=set)
    queries: list[str] = field(default_factory=list)
    ranges: list[tuple[str, int, int, int]] = field(default_factory=list)

    async def instant(self, query: str, at: float) -> Answer:
        self.queries.append(query)
        return self._answer(query, [at])

    async def over_range(self, query: str, start: int, end: int, step_seconds: int) -> Answer:
        self.ranges.append((query, start, end, step_seconds))
        return self._answer(query, [float(at) for at in range(start, end + 1, step_seconds)])

    def _answer(self, query: str, times: list[float]) -> Answer:
        if self.down:
            return Answer(SignalState.ERROR, message="Prometheus did not answer: connection refused")
        rows = [] if f"{self.labels.namespace}=~" not in query else self._rows(query, times)
        rows = [row for row in rows if row.points]
        if self.warning:
            return Answer(SignalState.PARTIAL, tuple(rows), f"Prometheus warned: {self.warning}")
        return Answer(SignalState.OK if rows else SignalState.NO_DATA, tuple(rows))

    def _rows(self, query: str, times: list[float]) -> list[Row]:
        match _asked(query):
            case "freshness", source:
                return self._each(source, times, lambda at: at - self.sample_age_seconds)
            case "interval", source:
                return self._each(source, times, lambda _: self.scrape_interval_seconds)
            case "gpus", _:
                return self._gpus(times)
            case "layer_kind" | "outcome" as label, _:
                return self._split(label, self.layer_time if label == "layer_kind" else self.error_reasons, times)
            case Query() as known:
                return self._signal(known, query, times)
        return self._percentile(query, times)

    def _percentile(self, query: str, times: list[float]) -> list[Row]:
        of = next((known for pattern, known in PERCENTILES if pattern.fullmatch(query)), None)
        return [] if of is None else self._constant(of, self.percentiles.get(of.signal), times)

    def _signal(self, known: Query, query: str, times: list[float]) -> list[Row]:
        window = WINDOW.search(query)
        if known.signal in self.windowed and window:
            return self._over_window(known, times, float(window[1]))
        if known.signal in self.histograms:
            return self._buckets(known.source, times, self.histograms[known.signal])
        if known.signal in self.per_pod:
            return self._each_pod(known.source, times, self.per_pod[known.signal])
        return self._constant(known, self.values.get(known.signal), times)

    def _over_window(self, known: Query, times: list[float], window: float) -> list[Row]:
        values = self.windowed[known.signal]

        def of_bound(pod: str, at: float, bound: str) -> float | None:
            value = values(pod, at, window)[bound]
            return None if math.isnan(value) else value

        return [
            Row({**row.labels, "le": bound} if bound else row.labels, row.points)
            for bound in values("", times[0], window)
            for row in self._each_pod(known.source, times, lambda pod, at, bound=bound: of_bound(pod, at, bound))  # type: ignore[misc]
        ]

    def _constant(self, known: Query, value: Value | None, times: list[float]) -> list[Row]:
        if value is None:
            return []
        return self._each(known.source, times, value if callable(value) else lambda _: value)

    def _each(self, source: str, times: list[float], value: Callable[[float], float | None]) -> list[Row]:
        return self._each_pod(source, times, lambda _, at: value(at))

    def _each_pod(self, source: str, times: list[float], value: Callable[[str, float], float | None]) -> list[Row]:
        if source not in self.sources:
            return []
        return [
            Row(
                self._labels(namespace, pod),
                tuple((at, found) for at in times if (found := value(pod, at)) is not None),
            )
            for namespace, pod in self.pods()
            if pod not in self.silent
        ]

    def _buckets(self, source: str, times: list[float], counts: Callable[[float], dict[str, float]]) -> list[Row]:
        return [
            Row({**row.labels, "le": bound}, row.points)
            for bound in counts(times[0])
            for row in self._each(source, times, lambda at, bound=bound: counts(at)[bound])  # type: ignore[misc]
        ]

    def _split(self, label: str, parts: dict[str, float], times: list[float]) -> list[Row]:
        return [
            Row({**row.labels, label: name}, row.points)
            for name, value in parts.items()
            for row in self._each("engine", times, lambda _, value=value: value)  # type: ignore[misc]
        ]

    def _gpus(self, times: list[float]) -> list[Row]:
        if self.simulated_gpus is None:
            return []
        simulated = str(self.simulated_gpus).lower()
        return [
            Row({**row.labels, "simulated": simulated}, row.points) for row in self._each("agent", times, lambda _: 1)
        ]

    def _labels(self, namespace: str, pod: str) -> dict[str, str]:
        return {self.labels.namespace: namespace, self.labels.pod: pod}


Reply = tuple[int, str, bytes]
"""(status, content type, body)"""


class HttpPrometheus:
    """A server on a free port; `respond(path, parameters)` gives the reply, or None to keep the client waiting."""

    def __init__(self, respond: Callable[[str, dict[str, str]], Reply | None]) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self._release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                parameters = {key: values[0] for key, values in parse_qs(parts.query).items()}
                outer.requests.append((parts.path, parameters, dict(self.headers.items())))
                reply = respond(parts.path, parameters)
                if reply is None:
                    outer._release.wait(30)
                    self.close_connection = True
                    return
                status, content_type, body = reply
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def vector(rows: Iterable[tuple[dict[str, str], float]], at: float = 0.0, **extra: Any) -> Reply:
    """The JSON of an instant answer."""
    result = [{"metric": labels, "value": [at, _text(value)]} for labels, value in rows]
    return 200, "application/json", _body({"resultType": "vector", "result": result}, **extra)


def matrix(rows: Iterable[tuple[dict[str, str], Iterable[tuple[float, float]]]], **extra: Any) -> Reply:
    """The JSON of a range answer."""
    result = [{"metric": labels, "values": [[at, _text(value)] for at, value in points]} for labels, points in rows]
    return 200, "application/json", _body({"resultType": "matrix", "result": result}, **extra)


def serve(fake: FakePrometheus) -> HttpPrometheus:
    """A fake, over HTTP."""

    def respond(path: str, parameters: dict[str, str]) -> Reply:
        if path.endswith("/query_range"):
            start, end, step = (int(float(parameters[name])) for name in ("start", "end", "step"))
            answer = fake._answer(parameters["query"], [float(at) for at in range(start, end + 1, step)])
            rendered = matrix((dict(row.labels), row.points) for row in answer.rows)
        else:
            answer = fake._answer(parameters["query"], [float(parameters["time"])])
            rendered = vector((dict(row.labels), row.points[-1][1]) for row in answer.rows)
        if answer.state is SignalState.ERROR:
            return 503, "text/plain", b"down"
        return rendered

    return HttpPrometheus(respond)


def _text(value: float) -> str:
    return "+Inf" if math.isinf(value) else repr(value)


def _body(data: dict[str, Any], **extra: Any) -> bytes:
    return json.dumps({"status": "success", "data": data, **extra}).encode()
