"""The Prometheus adapter against a real HTTP server that misbehaves in every way that was met."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.prometheus import HttpPrometheus, Reply, matrix, vector

from trimtab_operator.model.signals import SignalState
from trimtab_operator.observation import prometheus, session
from trimtab_operator.observation.labels import PodLabels
from trimtab_operator.observation.prometheus import PrometheusAdapter
from trimtab_operator.settings import PrometheusSettings
from trimtab_operator.telemetry import Telemetry

ROWS = [({"namespace": "prod", "pod": "a"}, 1.5), ({"namespace": "prod", "pod": "b"}, float("nan"))]


@contextmanager
def adapter(
    respond: Callable[[str, dict[str, str]], Reply | None], clock: FakeClock | None = None, **settings: object
) -> Iterator[tuple[PrometheusAdapter, HttpPrometheus, Telemetry]]:
    server = HttpPrometheus(respond)
    clock = clock or FakeClock()
    telemetry = Telemetry(clock)
    made = PrometheusAdapter(PrometheusSettings(url=server.url, **settings), clock, telemetry)  # type: ignore[arg-type]
    try:
        yield made, server, telemetry
    finally:
        made.close()
        server.close()


def always(reply: Reply | None) -> Callable[[str, dict[str, str]], Reply | None]:
    return lambda path, parameters: reply


async def test_rows_come_with_labels_and_numbers_that_are_numbers() -> None:
    with adapter(always(vector(ROWS, 12.0))) as (made, server, telemetry):
        answer = await made.instant("up", 12.0)
    assert answer.state is SignalState.OK
    by_pod = answer.by_pod(PodLabels("namespace", "pod"))
    assert by_pod["prod", "a"][0].points == ((12.0, 1.5),)
    assert ("prod", "b") not in by_pod
    assert server.requests[0][1]["time"] == "12.000"
    assert "timeout" in server.requests[0][1]
    assert telemetry.registry.get_sample_value("trimtab_operator_prometheus_queries_total", {"outcome": "Ok"}) == 1


async def test_a_range_asks_for_exactly_its_points() -> None:
    with adapter(always(matrix([({"pod": "a"}, [(10, 1.0), (15, 2.0)])]))) as (made, server, _):
        answer = await made.over_range("up", 10, 15, 5)
    assert answer.rows[0].points == ((10.0, 1.0), (15.0, 2.0))
    assert {key: server.requests[0][1][key] for key in ("start", "end", "step")} == {
        "start": "10",
        "end": "15",
        "step": "5",
    }


async def test_an_empty_answer_is_no_data_and_never_a_zero() -> None:
    with adapter(always(vector([]))) as (made, _, __):
        answer = await made.instant("up", 0)
    assert (answer.state, answer.rows) == (SignalState.NO_DATA, ())


async def test_a_warning_of_prometheus_makes_the_answer_partial() -> None:
    with adapter(always(vector(ROWS, warnings=["store x unavailable"]))) as (made, _, __):
        answer = await made.instant("up", 0)
    assert answer.state is SignalState.PARTIAL
    assert "store x unavailable" in answer.message
    assert answer.rows


async def test_a_warning_of_one_answer_does_not_stick_to_the_next() -> None:
    replies = [vector(ROWS, warnings=["once"]), vector(ROWS)]
    with adapter(lambda *_: replies.pop(0)) as (made, _, __):
        assert (await made.instant("up", 0)).state is SignalState.PARTIAL
        assert (await made.instant("up", 0)).state is SignalState.OK


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        pytest.param((200, "text/html", b"<html>please log in</html>"), "not Prometheus JSON", id="login page"),
        pytest.param((200, "application/json", b'{"status":"success"}'), "not Prometheus JSON", id="other JSON"),
        pytest.param((503, "text/plain", b"overloaded"), "refused the query", id="503"),
        pytest.param(
            (400, "application/json", b'{"status":"error","error":"parse error: no"}'),
            "parse error: no",
            id="bad query",
        ),
        pytest.param(
            (200, "application/json", b'{"status":"success","data":{"resultType":"scalar","result":[1,"5"]}}'),
            "not series",
            id="scalar",
        ),
    ],
)
async def test_what_is_no_answer_is_an_error_with_its_reason(reply: Reply, said: str) -> None:
    with adapter(always(reply)) as (made, _, __):
        answer = await made.instant("up", 0)
    assert answer.state is SignalState.ERROR
    assert said in answer.message
    assert answer.rows == ()


async def test_a_server_that_hangs_costs_two_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "READ_SECONDS", 0.3)
    with adapter(always(None)) as (made, server, _):
        started = time.monotonic()
        answer = await made.instant("up", 0)
        assert time.monotonic() - started < 3
    assert answer.state is SignalState.ERROR
    assert len(server.requests) == 2


async def test_no_server_is_an_error() -> None:
    with adapter(always(vector([]))) as (made, server, _):
        server.close()
        answer = await made.instant("up", 0)
        assert answer.state is SignalState.ERROR
        assert "did not answer" in answer.message
        server.close = lambda: None  # type: ignore[method-assign]


async def test_an_answer_beyond_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_ANSWER_BYTES", 100)
    with adapter(always(vector(ROWS * 50))) as (made, _, __):
        answer = await made.instant("up", 0)
    assert answer.state is SignalState.ERROR
    assert "larger than 100 bytes" in answer.message


async def test_too_many_series_are_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "MAX_SERIES", 2)
    with adapter(always(vector(ROWS * 2))) as (made, _, __):
        answer = await made.instant("up", 0)
    assert answer.state is SignalState.PARTIAL
    assert len(answer.rows) == 2


async def test_the_circuit_opens_after_failures_and_closes_again() -> None:
    broken = [True]
    clock = FakeClock()
    html: Reply = (200, "text/html", b"<html>")
    with adapter(lambda *_: html if broken[0] else vector(ROWS), clock) as (made, server, _):
        for _ in range(prometheus.BREAKER_FAILURES):
            await made.instant("up", 0)
        asked = len(server.requests)
        answer = await made.instant("up", 0)
        assert answer.state is SignalState.ERROR
        assert "not asked again" in answer.message
        assert len(server.requests) == asked
        broken[0] = False
        clock.tick(prometheus.BREAKER_OPEN_SECONDS + 1)
        assert (await made.instant("up", 0)).state is SignalState.OK


async def test_a_rotated_token_is_used_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with adapter(always(vector(ROWS)), bearer_token_file=str(token), tenant_header=("X-Scope-OrgID", "a")) as (
        made,
        server,
        _,
    ):
        await made.instant("up", 0)
        token.write_text("second\n")
        await made.instant("up", 0)
    assert [headers["Authorization"] for _, __, headers in server.requests] == ["Bearer first", "Bearer second"]
    assert server.requests[0][2]["X-Scope-OrgID"] == "a"


async def test_basic_authentication_reads_its_password_from_a_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("pass")
    with adapter(always(vector(ROWS)), username="me", password_file=str(password)) as (made, server, _):
        await made.instant("up", 0)
    assert server.requests[0][2]["Authorization"].startswith("Basic ")


async def test_a_token_that_cannot_be_read_is_an_error_without_the_token() -> None:
    with adapter(always(vector(ROWS)), bearer_token_file="/nowhere/token") as (made, _, __):
        answer = await made.instant("up", 0)
    assert answer.state is SignalState.ERROR
