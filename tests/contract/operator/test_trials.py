"""Trials on a real API server with scripted metrics: whatever dies or disturbs, the same is written in the end.

Every run has two policies: one whose larger batch helps, and one whose larger batch harms. The runs go side by side.
"""

from __future__ import annotations

import asyncio
import json
import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes.trial_ground import Outcome, TrialGround, trial_ground, until
from harness.denial import BINDING, MESSAGE, POLICY, Denial

from trimtab_operator.actuation.fail_point import EXIT_CODE, POINTS
from trimtab_operator.clock import SystemClock
from trimtab_operator.errors import KubeError
from trimtab_operator.kube.client import KubeClient
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.login import api_client
from trimtab_operator.kube.resources import NODE_TUNINGS, POLICIES, TRIALS
from trimtab_operator.telemetry import Telemetry

RUN_SECONDS = 420.0
AT_ONCE = 5
CONFLICTS = 'trimtab_operator_reconcile_total{outcome="KubeConflict"}'
STATUS_DENIED = Denial("trimtab.dev", "v1alpha1", "optimizationpolicies/status", "request.namespace == '$namespace'")
AS_STARTED, ON_TRIAL, PROMOTED = (None, False), (8, True), (8, False)


@dataclass
class Run:
    """What a run has shown: its outcomes by case, and what happened on the way."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    killed_in: set[str] = field(default_factory=set)
    died_at: list[tuple[str, int]] = field(default_factory=list)  # fail point, exit code
    conflicts: float = 0.0


Drive = Callable[[TrialGround, Run], Awaitable[None]]


async def undisturbed(ground: TrialGround, _: Run) -> None:
    """One process from beginning to end."""
    ground.start()
    await until(lambda: _over(ground), RUN_SECONDS, "the trials are over")


async def killed_in_every_phase(ground: TrialGround, run: Run) -> None:
    """A process is killed whenever a case comes to a phase in which none was killed yet."""
    operator = ground.start()

    async def goes_on() -> bool:
        nonlocal operator
        seen = await ground.phases()
        if seen - run.killed_in:
            run.killed_in |= seen
            operator.end()
            operator = ground.start()
        return await _over(ground)

    await until(goes_on, RUN_SECONDS, "the trials are over")


def dying_at(points: tuple[str, ...]) -> Drive:
    """Each process ends itself at a fail point, the next one at the next, and so on."""

    async def drive(ground: TrialGround, run: Run) -> None:
        operator, point = ground.start(points[0]), points[0]

        async def goes_on() -> bool:
            nonlocal operator, point
            code = operator.process.poll()
            if code is not None:
                run.died_at.append((point, code))
                point = points[len(run.died_at) % len(points)]
                operator = ground.start(point)
            return await _over(ground)

        await until(goes_on, RUN_SECONDS, "the trials are over")

    return drive


async def disturbed_by_edits(ground: TrialGround, run: Run) -> None:
    """Others write annotations into everything that the operator writes, in bursts: its writes meet 409s."""
    operator = ground.start()
    edits = asyncio.create_task(_edit(ground))
    try:
        await until(lambda: _over(ground), RUN_SECONDS, "the trials are over")
    finally:
        edits.cancel()
        await asyncio.gather(edits, return_exceptions=True)
    run.conflicts = await asyncio.to_thread(operator.metric, CONFLICTS)


RUNS: dict[str, tuple[Drive, dict[str, float]]] = {
    "undisturbed": (undisturbed, {}),
    "killed": (killed_in_every_phase, {"served_seconds": 20.0, "answers_after": 3.0}),
    "forwards": (dying_at(POINTS), {}),
    "backwards": (dying_at(tuple(reversed(POINTS))), {}),
    "edited": (disturbed_by_edits, {}),
}


@pytest.fixture(scope="module")
def runs(api_server: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Every run, side by side: what takes time in a trial is waiting."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(kube: KubeClient, name: str) -> Run:
        async with places:
            return await _run(api_server, kube, tmp_path_factory.mktemp(name), *RUNS[name])

    async def go() -> dict[str, Run]:
        # A group: where one fails, the others clean up before the client closes.
        async with _client(api_server) as kube, asyncio.TaskGroup() as group:
            made = {name: group.create_task(one(kube, name)) for name in RUNS}
        return {name: task.result() for name, task in made.items()}

    return asyncio.run(go())


def test_an_undisturbed_trial_that_helps_is_rolled_out_and_one_that_harms_is_taken_back(runs: dict[str, Run]) -> None:
    better, worse = (runs["undisturbed"].outcomes[case] for case in ("better", "worse"))
    assert better.trials == (("maxBatchSize 1→8", "Finished", "Improved"),)
    assert [what for what, _, _ in better.ledger] == ["RolledOut", "TrialEnded", "TrialStarted"]
    assert json.loads(better.tuning)["settings"]["maxBatchSize"] == 8
    assert better.asked == tuple(sorted([(AS_STARTED, ON_TRIAL, PROMOTED), (AS_STARTED, PROMOTED)], key=repr))
    assert better.spec_writes == (3, 2), "each node was written once for each of these"
    assert worse.trials == (("maxBatchSize 1→8", "Finished", "Regressed"),)
    assert [what for what, _, _ in worse.ledger] == ["RolledBack", "TrialEnded", "TrialStarted"]
    assert json.loads(worse.tuning) == {"settings": {}}
    assert worse.asked == tuple(sorted([(AS_STARTED, ON_TRIAL, AS_STARTED), (AS_STARTED,)], key=repr))
    assert worse.spec_writes == (3, 1)


@pytest.mark.parametrize("case", ["better", "worse"])
@pytest.mark.parametrize("name", [name for name in RUNS if name != "undisturbed"])
def test_a_disturbed_run_ends_with_the_writes_of_the_undisturbed_one(
    runs: dict[str, Run], name: str, case: str
) -> None:
    assert runs[name].outcomes[case] == runs["undisturbed"].outcomes[case]


def test_a_process_was_killed_in_each_phase(runs: dict[str, Run]) -> None:
    phases = {
        "better": ("Discovery", "RunIn", "Starting", "Measuring", "RollingOut", "Validating"),
        "worse": ("RunIn", "Starting", "Measuring", "Reverting"),
    }
    wanted = {f"{case} {phase}" for case, names in phases.items() for phase in names}
    assert wanted - runs["killed"].killed_in == set()


@pytest.mark.parametrize("name", ["forwards", "backwards"])
def test_processes_died_between_intent_and_act_at_every_fail_point(runs: dict[str, Run], name: str) -> None:
    assert {code for _, code in runs[name].died_at} == {EXIT_CODE}
    assert {point for point, _ in runs[name].died_at} == set(POINTS)


def test_others_edits_met_writes_as_conflicts(runs: dict[str, Run]) -> None:
    assert runs["edited"].conflicts > 0


@pytest.fixture
def denial(api_server: Any) -> Iterator[Callable[[str], Callable[[], None]]]:
    """Denies every write of a policy's status in a namespace, by an admission policy; answers what lifts it."""
    names: list[str] = []

    def lift() -> None:
        for name in names:
            for kind in (BINDING, POLICY):
                api_server.kubectl("delete", kind, name, "--ignore-not-found")

    def deny(namespace: str) -> Callable[[], None]:
        names.append(f"deny-status.{namespace}")
        for body in STATUS_DENIED.manifests(names[-1], namespace):
            api_server.kubectl("apply", "-f", "-", input=json.dumps(body))
        return lift

    yield deny
    lift()


@pytest.mark.timeout(420)
async def test_nothing_is_done_while_the_status_cannot_be_written(
    api_server: Any, tmp_path: Path, denial: Callable[[str], Callable[[], None]]
) -> None:
    async with (
        _client(api_server) as kube,
        trial_ground(api_server, kube, tmp_path, cases=("better",), approval="Required") as ground,
    ):
        operator, namespace = ground.start(), ground.namespaces["better"]
        await until(lambda: _is_in(ground, "better AwaitingApproval"), 60, "the trial waits for a person")
        before = await ground.entries("better")
        lift = await asyncio.to_thread(denial, namespace)
        await until(lambda: _is_denied(ground, namespace), 30, "the status of policies is not accepted")
        (trial,) = await ground.trials("better")
        await kube.patch(TRIALS, namespace, trial["metadata"]["name"], {"spec": {"approval": "Approved"}})
        await until(lambda: _is_in(ground, "better Starting"), 60, "the trial object goes ahead: it is the truth")
        refused = 'trimtab_operator_reconcile_total{outcome="KubeInvalid"}'
        refusals = operator.metric(refused)

        async def tried_again() -> bool:
            return operator.metric(refused) >= refusals + 3

        await until(tried_again, 90, "the status was refused again and again")
        assert await ground.entries("better") == before, "no engine is asked for what no status says"
        await asyncio.to_thread(lift)
        await until(lambda: _on_trial(ground), 60, "the canary is asked once the status is stored")
        stored = (await ground.policy("better"))["status"]["tuning"]["change"]
        assert [entry["podUid"] for entry in await ground.entries("better") if "trial" in entry] == stored["pods"]
        operator.send(signal.SIGTERM)
        assert await asyncio.to_thread(operator.process.wait, 20) == 0


async def _run(api: Any, kube: KubeClient, folder: Path, drive: Drive, options: dict[str, float]) -> Run:
    run = Run()
    async with trial_ground(api, kube, folder, **options) as ground:  # type: ignore[arg-type]
        await drive(ground, run)
        run.outcomes = {case: await ground.outcome(case) for case in ground.namespaces}
    return run


async def _over(ground: TrialGround) -> bool:
    """Whether the run is over; what is not there yet, and what is being written, is not."""
    try:
        return await ground.is_over()
    except KubeError:
        return False


async def _is_in(ground: TrialGround, phase: str) -> bool:
    return phase in await ground.phases()


async def _on_trial(ground: TrialGround) -> bool:
    return any("trial" in entry for entry in await ground.entries("better"))


async def _is_denied(ground: TrialGround, namespace: str) -> bool:
    body = await ground.policy("better")
    try:
        patch = {"phase": (body.get("status") or {}).get("phase")}
        version = body["metadata"]["resourceVersion"]
        await ground.kube.patch_status(POLICIES, namespace, body["metadata"]["name"], patch, version)
    except KubeError as error:
        return MESSAGE in str(error)
    return False


async def _edit(ground: TrialGround) -> None:
    """Two seconds of edits, three of peace: a write that met one finds its way later."""
    for number in range(1_000_000):
        patch = {"metadata": {"annotations": {"trimtab.dev/test": str(number)}}}
        for case, namespace in ground.namespaces.items():
            names = [str(trial["metadata"]["name"]) for trial in await ground.trials(case)]
            for resource, name in [(POLICIES, "p"), *((TRIALS, name) for name in names)]:
                await _annotate(ground, resource, namespace, name, patch)
        for node in (node for nodes in ground.nodes.values() for node in nodes):
            await _annotate(ground, NODE_TUNINGS, None, node, patch)
        await asyncio.sleep(3.0 if number % 15 == 14 else 0.1)


async def _annotate(ground: TrialGround, resource: Any, namespace: str | None, name: str, patch: Any) -> None:
    try:
        await ground.kube.patch(resource, namespace, name, patch)
    except KubeError:  # it is not there yet
        return


@asynccontextmanager
async def _client(api: Any) -> AsyncIterator[KubeClient]:
    """The operator's own client, for what the test plays."""
    clock = SystemClock()
    gate = WriteGate(clock)
    gate.open_until(math.inf)
    client = KubeClient(await api_client(str(api.kubeconfig)), gate, Telemetry(clock), 10.0)
    try:
        yield client
    finally:
        await client.close()
