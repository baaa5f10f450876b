"""The leader's loop around the queue: list, watch, workers; and what surrounds it: health, schema, logs, settings."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import Iterator

import aiohttp
import pytest
from fakes.clock import FakeClock, settle
from fakes.kube import FakeKube
from fakes.world import NAMESPACE, Stage

from trimtab_api import SCHEMA_REVISION
from trimtab_api.kinds import KINDS
from trimtab_operator.controllers.controller import Controller
from trimtab_operator.controllers.health import HealthServer, loop_problem
from trimtab_operator.controllers.logs import JsonLines, configure
from trimtab_operator.controllers.schema import COMMAND, SchemaCheck
from trimtab_operator.controllers.watch import Deliver, watch_settings
from trimtab_operator.errors import KubeForbidden, KubeUnavailable, LeadershipLost
from trimtab_operator.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, POLICIES
from trimtab_operator.telemetry import Telemetry


class ScriptedWatch:
    """A watch that a test ends."""

    made: list[ScriptedWatch]

    def __init__(self, deliver: Deliver) -> None:
        self.deliver = deliver
        self.end = asyncio.Event()
        self.stopped = False

    def start(self) -> None:
        pass

    async def ended(self) -> None:
        await self.end.wait()

    async def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.deploy()
    return stage


def controller_of(stage: Stage, watches: list[ScriptedWatch]) -> Controller:
    def make(deliver: Deliver) -> ScriptedWatch:
        watches.append(ScriptedWatch(deliver))
        return watches[-1]

    return Controller(stage.world, stage.cache, stage.queue, make, stage.node_worker, namespaces=(), concurrency=2)


async def stop(task: asyncio.Future[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_policies_are_worked_on_from_the_first_list_on(stage: Stage) -> None:
    watches: list[ScriptedWatch] = []
    stage.apply_policy()
    stage.start()
    stage.cache.replace_all([])
    task = asyncio.ensure_future(controller_of(stage, watches).run())
    for _ in range(40):
        await stage.clock.advance(1)
    await settle(400)
    assert stage.status()["phase"] != "Unknown"
    await stop(task)
    assert watches[0].stopped


async def test_a_watch_that_ends_is_started_again(stage: Stage) -> None:
    watches: list[ScriptedWatch] = []
    task = asyncio.ensure_future(controller_of(stage, watches).run())
    await settle()
    watches[0].end.set()
    await stage.clock.advance(10)
    assert len(watches) == 2
    assert watches[0].stopped
    await stop(task)


async def test_a_change_that_the_watch_missed_is_found_by_the_list_and_restarts_the_watch(stage: Stage) -> None:
    watches: list[ScriptedWatch] = []
    task = asyncio.ensure_future(controller_of(stage, watches).run())
    await settle()
    await stage.clock.advance(1)
    body = stage.kube.seed(
        POLICIES,
        {
            "metadata": {"namespace": NAMESPACE, "name": "unseen"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llama"}},
        },
    )
    await stage.clock.advance(340)
    assert (NAMESPACE, "unseen") in stage.cache
    assert len(watches) == 2
    watches[1].deliver("DELETED", body)
    assert (NAMESPACE, "unseen") not in stage.cache
    await stop(task)


async def test_a_closed_gate_ends_the_loop(stage: Stage) -> None:
    stage.apply_policy()
    stage.gate.close()
    task = asyncio.ensure_future(controller_of(stage, []).run())
    for _ in range(5):
        await stage.clock.advance(1)
        await settle(400)
    error = task.exception()
    assert isinstance(error, BaseExceptionGroup)
    assert error.split(LeadershipLost)[0] is not None


async def test_the_list_is_tried_again_when_the_server_does_not_answer(stage: Stage) -> None:
    stage.kube.fail("list", "OptimizationPolicy", KubeUnavailable, times=2)
    controller = controller_of(stage, [])
    task = asyncio.ensure_future(controller.run())
    await settle()
    assert controller.list_age_seconds is None
    await stage.clock.advance(11)
    assert controller.list_age_seconds is not None
    await stop(task)


def test_ticks_of_one_interval_fall_into_the_same_slot_with_a_little_spread(stage: Stage) -> None:
    stage.clock.tick(7.3)
    delays = [stage.ticks.delay_seconds(("prod", f"p{number}"), 15) for number in range(50)]
    times = {(stage.clock.now() + delay) // 5 for delay in delays}
    assert len(times) == 1
    assert len(set(delays)) > 40
    assert all(0 < delay <= 16 for delay in delays)
    assert stage.ticks.delay_seconds(("prod", "p"), 0) == 0


@pytest.mark.parametrize(
    ("overdue", "age", "problem"),
    [
        pytest.param(0, None, None, id="a follower"),
        pytest.param(100, 300, None, id="busy"),
        pytest.param(151, 300, "overdue by 151 s", id="stuck"),
        pytest.param(0, 1300, "last listed 1300 s ago", id="the list is old"),
    ],
)
def test_health_knows_a_stuck_loop(overdue: float, age: float | None, problem: str | None) -> None:
    found = loop_problem(overdue, age)
    assert (found is None) if problem is None else problem in str(found)


def with_crds(revision: str) -> FakeKube:
    kube = FakeKube()
    for kind in KINDS:
        annotations = {"trimtab.dev/schema-revision": revision}
        kube.seed(CUSTOM_RESOURCE_DEFINITIONS, {"metadata": {"name": kind.crd_name, "annotations": annotations}})
    return kube


async def test_readiness_is_plain_when_the_schema_is_ours() -> None:
    check = SchemaCheck(with_crds(SCHEMA_REVISION), FakeClock())
    assert check.problem is not None
    await check.look()
    assert check.problem is None
    await asyncio.wait_for(check.installed(), 1)


@pytest.mark.parametrize("case", ["missing", "stale", "forbidden", "away"])
async def test_readiness_names_what_is_wrong_and_the_command(case: str) -> None:
    kube = FakeKube() if case == "missing" else with_crds("old" if case == "stale" else SCHEMA_REVISION)
    if case == "forbidden":
        kube.fail("get", "CustomResourceDefinition", KubeForbidden)
    if case == "away":
        kube.fail("get", "CustomResourceDefinition", KubeUnavailable)
    check = SchemaCheck(kube, FakeClock())
    await check.look()
    expected = {
        "missing": f"optimizationpolicies.trimtab.dev is not installed: run {COMMAND}",
        "stale": f"not of schema revision {SCHEMA_REVISION}: run {COMMAND}",
        "forbidden": "may not read CRD",
        "away": "does not answer",
    }
    assert expected[case] in str(check.problem)


async def test_the_schema_is_looked_at_again_until_it_is_well() -> None:
    kube, clock = FakeKube(), FakeClock()
    check = SchemaCheck(kube, clock)
    task = asyncio.ensure_future(check.watch())
    waiting = asyncio.ensure_future(check.installed())
    await clock.advance(30)
    assert not waiting.done()
    for (resource, _, name), body in with_crds(SCHEMA_REVISION)._objects.items():
        kube._objects[resource, None, name] = body
    await clock.advance(12)
    assert check.problem is None
    assert waiting.done()
    await stop(task)


async def test_health_is_served_with_its_reasons() -> None:
    problems: dict[str, str | None] = {"alive": None, "ready": "CRD x is not installed"}
    telemetry = Telemetry(FakeClock())
    server = HealthServer(telemetry, lambda: problems["alive"], lambda: problems["ready"], 0)
    await server.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        async with client.get("/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with client.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "CRD x is not installed\n")
        async with client.get("/metrics") as answer:
            assert "trimtab_operator_leader 0.0" in await answer.text()
            assert answer.content_type == "text/plain"
    await server.stop()


def test_the_watch_is_bounded_and_asks_for_no_rights_beyond_ours() -> None:
    settings = watch_settings()
    assert settings.watching.chunk_size == 500
    assert settings.watching.initial_streaming is False
    assert settings.watching.client_timeout is not None
    assert settings.posting.enabled is False
    assert settings.scanning.disabled is True


@pytest.fixture
def quiet_root() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    yield
    root.handlers[:] = kept
    root.setLevel(level)


@pytest.mark.usefixtures("quiet_root")
def test_a_log_line_is_json_with_its_pairs() -> None:
    stream = io.StringIO()
    configure("info", stream)
    logging.getLogger("trimtab_operator.x").info("scaled", extra={"pairs": {"from": 1, "to": "→2"}})
    logging.getLogger("kopf._core.reactor.running").warning("OS signals are ignored: running not in the main thread.")
    logging.getLogger("urllib3").info("chatter")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 1
    assert {key: lines[0][key] for key in ("message", "level", "from", "to")} == {
        "message": "scaled",
        "level": "info",
        "from": 1,
        "to": "→2",
    }


def test_an_exception_is_one_field() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "tick broke", (), __import__("sys").exc_info())
    line = json.loads(JsonLines().format(record))
    assert "ValueError: broken" in line["exception"]
