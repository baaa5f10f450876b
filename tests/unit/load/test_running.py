"""Whole runs against a small server: the open loop, its connections, its checks, its process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from dev.load import verify
from dev.load.__main__ import main, parser, plan_of
from dev.load.addresses import resolve
from dev.load.arrivals import Step
from dev.load.connection import Answer
from dev.load.errors import LoadError
from dev.load.figures import Stretch, figures
from dev.load.outcomes import Outcome, counts
from dev.load.plan import Keys, LoadPlan, Mode, calibrate, run_plan, schedule_of
from dev.load.pool import Pool, PoolLimits
from dev.load.process import LoadProcess, arguments
from dev.load.requests import Protocol
from dev.load.verify import learn


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_every_request_of_the_schedule_is_sent_and_answered(server, protocol: Protocol) -> None:
    plan = LoadPlan(url=server.url, rate=200, duration_seconds=0.4, protocol=protocol)
    run = await run_plan(plan)
    assert len(run.records) == len(schedule_of(plan).arrivals_seconds) == server.requests
    assert {record.outcome for record in run.records} == {Outcome.OK}


async def test_a_slow_server_does_not_slow_the_schedule_and_latency_counts_from_it(server) -> None:
    server.delay_seconds = 0.3
    run = await run_plan(LoadPlan(url=server.url, rate=100, duration_seconds=0.7, connections=4))
    lateness = [record.sent_seconds - record.scheduled_seconds for record in run.records if record.sent_seconds]
    assert sorted(lateness)[len(lateness) // 2] < 0.1
    assert figures(run, 0.5).p50_latency_seconds == pytest.approx(0.3, abs=0.15)


async def test_an_answer_that_does_not_come_in_time_is_unanswered(server) -> None:
    server.delay_seconds = 5
    run = await run_plan(LoadPlan(url=server.url, rate=20, duration_seconds=0.5, timeout_seconds=0.2))
    assert counts(run.records)[Outcome.UNANSWERED] == len(run.records) > 0


@pytest.mark.parametrize(("status", "outcome"), [(429, Outcome.REJECTED), (503, Outcome.DRAINING)])
async def test_refusals_are_counted_by_their_kind(server, status: int, outcome: Outcome) -> None:
    server.status = status
    run = await run_plan(LoadPlan(url=server.url, rate=50, duration_seconds=0.2))
    assert counts(run.records)[outcome] == len(run.records) > 0


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


async def test_nobody_listening_is_an_outcome_not_a_crash(nobody: str) -> None:
    run = await run_plan(LoadPlan(url=nobody, rate=50, duration_seconds=0.3))
    assert counts(run.records)[Outcome.CONNECTION] == len(run.records) > 0


async def test_connections_are_reopened_so_that_new_pods_get_traffic(server) -> None:
    await run_plan(
        LoadPlan(url=server.url, rate=50, duration_seconds=0.9, connections=4, connection_lifetime_seconds=0.2)
    )
    assert server.connections >= 12


async def test_a_reused_connection_that_was_closed_is_tried_once_more_and_counted(server) -> None:
    server.close_before_answer_on_reuse = True
    run = await run_plan(LoadPlan(url=server.url, rate=50, duration_seconds=0.5, connections=1))
    assert counts(run.records)[Outcome.OK] == len(run.records)
    assert run.retried > 0


@pytest.mark.parametrize("mixed", [False, True], ids=["right answers", "answers of neighbours"])
async def test_verification_tells_own_answers_from_those_of_others(server, mixed: bool) -> None:
    def progress(*_: object) -> None:
        server.mix_up = mixed

    plan = LoadPlan(url=server.url, rate=100, duration_seconds=1, verify=True)
    run = await run_plan(plan, progress=progress, every_seconds=0.2)
    wrong = counts(run.records)[Outcome.WRONG]
    assert wrong > 30 if mixed else wrong == 0


async def test_references_are_asked_for_until_somebody_is_reached(late_server) -> None:
    class StartsTheServer(Pool):
        async def exchange(self, request: bytes) -> Answer:
            try:
                return await super().exchange(request)
            except OSError:
                late_server.start()
                raise

    target = resolve(late_server.url)
    async with StartsTheServer(target, PoolLimits()) as pool:
        check = await learn(pool, target, Protocol.EMBEDDINGS, "model", ["one", "two"])
    assert set(check.expected) == {"one", "two"}


async def test_a_run_whose_references_nobody_answers_says_so(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "REACHED_WITHIN_SECONDS", 0.3)
    with pytest.raises(LoadError, match="nobody was reached within"):
        await run_plan(LoadPlan(url=nobody, rate=10, duration_seconds=0.2, verify=True))


async def test_calibration_finds_the_rate_of_a_saturated_server(server) -> None:
    server.delay_seconds = 0.1
    capacity = await calibrate(LoadPlan(url=server.url), seconds=1, callers=8, warm_seconds=0.2)
    assert capacity.per_second == pytest.approx(80, rel=0.25)


async def test_calibration_of_a_server_that_refuses_says_why(server) -> None:
    server.status = 404
    with pytest.raises(LoadError, match="status 404"):
        await calibrate(LoadPlan(url=server.url), seconds=0.2, warm_seconds=0.1)


def test_the_process_reports_progress_and_then_every_request(server) -> None:
    plan = LoadPlan(url=server.url, mode=Mode.TRACE, rate=100, duration_seconds=1, objective_seconds=0.25)
    seen: list[Stretch] = []
    with LoadProcess(plan, progress_seconds=0.5) as process:
        run = process.wait(seen.append)
    assert len(run.records) == 100
    assert sum(step.answered for step in seen) > 0
    assert not process.running


def test_a_process_that_is_stopped_ends_its_schedule_and_reports_the_shorter_run(server) -> None:
    plan = LoadPlan(url=server.url, rate=100, duration_seconds=600)
    seen: list[Stretch] = []
    with LoadProcess(plan, progress_seconds=0.2) as process:

        def stop_soon(step: Stretch) -> None:
            seen.append(step)
            process.stop()

        run = process.wait(stop_soon)
    assert seen
    assert 0.1 <= run.duration_seconds < 60
    assert {record.outcome for record in run.records} == {Outcome.OK}
    assert max(record.scheduled_seconds for record in run.records) <= run.duration_seconds + 0.2
    assert len(run.records) == pytest.approx(100 * run.duration_seconds, rel=0.5)


async def test_a_run_that_is_stopped_waits_for_the_answers_under_way(server) -> None:
    server.delay_seconds = 0.3
    stop = asyncio.Event()

    def progress(*_: object) -> None:
        stop.set()

    run = await run_plan(
        LoadPlan(url=server.url, rate=50, duration_seconds=300), progress=progress, every_seconds=0.4, stop=stop
    )
    assert run.duration_seconds < 60
    assert {record.outcome for record in run.records} == {Outcome.OK}


def test_a_process_that_cannot_start_says_why() -> None:
    with (
        LoadProcess(LoadPlan(url="http://192.0.2.1.invalid:1", duration_seconds=1)) as process,
        pytest.raises(LoadError, match="cannot be resolved"),
    ):
        process.wait()


def test_a_plan_survives_the_command_line() -> None:
    plan = LoadPlan(
        url="http://127.0.0.1:9",
        mode=Mode.STEP,
        rate=12.5,
        steps=(Step(60, 1), Step(30, 2), Step(60, 0.25)),
        keys=Keys.DISTINCT,
        key_offset=5,
        sentences=4,
        protocol=Protocol.INFER,
        objective_seconds=0.25,
        seed=3,
        verify=True,
    )
    assert plan_of(parser().parse_args(arguments(plan))) == plan


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1:1", "not of the form"),
        ("http://8.8.8.8:80", "public address"),
        ("http://0.0.0.0:80", "public address"),
    ],
)
def test_addresses_outside_the_machine_and_the_cluster_are_refused(url: str, words: str) -> None:
    with pytest.raises(LoadError, match=words):
        resolve(url)


def test_step_mode_without_steps_exits_with_the_line_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:9", "--mode", "step"]) == 2
    assert "60:1,60:2,60:0.25" in capsys.readouterr().err
