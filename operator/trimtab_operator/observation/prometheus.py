"""The adapter over prometheus-api-client: a thread pool of its own, timeouts, a circuit breaker, typed answers.

It never raises for what Prometheus does: a failure is an answer with state Error, so that one signal's trouble stays
that signal's trouble. `no data` is an answer too, and never a zero.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from trimtab_operator.clock import Clock
from trimtab_operator.errors import PrometheusError
from trimtab_operator.model.signals import SignalState
from trimtab_operator.observation.labels import PodKey, PodLabels
from trimtab_operator.observation.session import POOL_SIZE, BoundedSession, bounded_retry
from trimtab_operator.settings import PrometheusSettings
from trimtab_operator.telemetry import Telemetry

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 15.0  # two attempts with their back-off
MAX_SERIES: Final = 20_000
BREAKER_FAILURES: Final = 5
BREAKER_OPEN_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Row:
    """One series of an answer: its labels, and (unix seconds, value) pairs; an instant query gives one pair."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Answer:
    """What a query came to. PARTIAL rows are real but incomplete; ERROR has none."""

    state: SignalState
    rows: tuple[Row, ...] = ()
    message: str = ""
    _by_pod: dict[PodLabels, dict[PodKey, list[Row]]] = field(default_factory=dict, compare=False, repr=False)

    def by_pod(self, labels: PodLabels) -> Mapping[PodKey, list[Row]]:
        """Return the rows of each pod; made once for all the policies that share the answer."""
        if labels not in self._by_pod:
            index = self._by_pod[labels] = {}
            for row in self.rows:
                if row.points and labels.namespace in row.labels and labels.pod in row.labels:
                    index.setdefault((row.labels[labels.namespace], row.labels[labels.pod]), []).append(row)
        return self._by_pod[labels]


class Prometheus(Protocol):
    """Instant and range queries. Times are unix seconds."""

    async def instant(self, query: str, at: float) -> Answer:
        """Evaluate at one time."""
        ...

    async def over_range(self, query: str, start: int, end: int, step_seconds: int) -> Answer:
        """Evaluate at start, start + step, … end (whole seconds)."""
        ...


class PrometheusAdapter:
    """The real one."""

    def __init__(self, settings: PrometheusSettings, clock: Clock, telemetry: Telemetry) -> None:
        self._session = BoundedSession(settings)
        self._connection = PrometheusConnect(
            settings.url, session=self._session, retry=bounded_retry(), timeout=(CONNECT_SECONDS, READ_SECONDS)
        )
        self._pool = ThreadPoolExecutor(POOL_SIZE, thread_name_prefix="prometheus")
        self._breaker = CircuitBreaker(clock)
        self._telemetry = telemetry

    def close(self) -> None:
        """Stop the threads; each ends within its timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._connection.close()

    async def instant(self, query: str, at: float) -> Answer:
        """Evaluate at one time."""
        parameters = {"time": f"{at:.3f}", "timeout": f"{READ_SECONDS:g}s", "limit": str(MAX_SERIES)}
        return await self._ask(query, lambda: self._connection.custom_query(query, params=parameters))

    async def over_range(self, query: str, start: int, end: int, step_seconds: int) -> Answer:
        """Evaluate at start, start + step, … end (whole seconds)."""
        parameters = {"timeout": f"{READ_SECONDS:g}s", "limit": str(MAX_SERIES)}
        first, last = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
        return await self._ask(
            query,
            lambda: self._connection.custom_query_range(query, first, last, str(step_seconds), params=parameters),
        )

    async def _ask(self, query: str, call: Callable[[], Any]) -> Answer:
        if self._breaker.is_open:
            answer = Answer(SignalState.ERROR, message=self._breaker.message)
        else:
            answer = await self._attempt(query, call)
        self._telemetry.query(answer.state.value)
        return answer

    async def _attempt(self, query: str, call: Callable[[], Any]) -> Answer:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                answer = await loop.run_in_executor(self._pool, self._blocking, query, call)
        except TimeoutError:
            failure = f"no answer within {TOTAL_SECONDS:g} s"
        except PrometheusError as error:
            failure = str(error)
        else:
            self._breaker.succeeded()
            return answer
        self._breaker.failed(failure)
        return Answer(SignalState.ERROR, message=failure)

    def _blocking(self, query: str, call: Callable[[], Any]) -> Answer:
        """Ask, in a thread. Raises PrometheusError where the server or the way to it is at fault."""
        try:
            result = call()
        except PrometheusApiClientException as error:
            return Answer(SignalState.ERROR, message=_refusal(error))
        except (requests.JSONDecodeError, KeyError, TypeError) as error:
            raise PrometheusError(
                query, "the answer is not Prometheus JSON: is the URL right, is a login in the way?"
            ) from error
        except (requests.RequestException, OSError) as error:
            raise PrometheusError(query, f"Prometheus did not answer: {_short(error)}") from error
        return _answer(result, self._session.take_warnings())


class CircuitBreaker:
    """Five failures in a row open it for ten seconds; then one query after another may try again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._opened_at = -math.inf
        self.message = ""

    @property
    def is_open(self) -> bool:
        """Whether queries are refused without asking."""
        return self._clock.monotonic() - self._opened_at < BREAKER_OPEN_SECONDS

    def succeeded(self) -> None:
        """Note that a query was answered."""
        self._failures = 0

    def failed(self, message: str) -> None:
        """Note that a query was not answered."""
        self._failures += 1
        if self._failures >= BREAKER_FAILURES:
            self._opened_at = self._clock.monotonic()
            self.message = f"{message} (not asked again for {BREAKER_OPEN_SECONDS:g} s)"


def _answer(result: Any, warnings: tuple[str, ...]) -> Answer:
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        return Answer(SignalState.ERROR, message="the query answers a scalar or a string, not series")
    rows = tuple(_row(row) for row in result[:MAX_SERIES])
    if warnings:
        return Answer(SignalState.PARTIAL, rows, f"Prometheus warned: {'; '.join(warnings)[:300]}")
    if len(result) >= MAX_SERIES:
        return Answer(SignalState.PARTIAL, rows, f"more than {MAX_SERIES} series")
    return Answer(SignalState.OK if rows else SignalState.NO_DATA, rows)


def _row(row: Mapping[str, Any]) -> Row:
    pairs = row["values"] if "values" in row else [row["value"]]
    points = tuple((float(at), float(value)) for at, value in pairs)
    return Row(row["metric"], tuple(point for point in points if math.isfinite(point[1])))


def _refusal(error: PrometheusApiClientException) -> str:
    """`HTTP Status Code 400 (b'{...}')`: the server's own sentence where there is one."""
    text = str(error)
    start = text.find("{")
    if start >= 0:
        try:
            body = json.loads(text[start : text.rfind("}") + 1])
        except ValueError:
            body = {}
        if body.get("error"):
            return f"Prometheus refused the query: {body['error']}"[:400]
    return f"Prometheus refused the query: {text}"[:400]


def _short(error: Exception) -> str:
    text = str(error)
    return (text[:300] or type(error).__name__).replace("\n", " ")
