"""Trials are stored before the policy points to them; old ones are deleted; stored settings go to the board."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import CANARY, a_trial, a_tuning
from fakes.clock import FakeClock
from fakes.kube import FakeKube, mode_configmap, policy
from fakes.stands import a_tuned_policy, a_tuned_snapshot

from trimtab_operator.actuation.board import TuningBoard
from trimtab_operator.actuation.events import EventLedger
from trimtab_operator.actuation.execute import Hands, execute
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.actuation.report import report
from trimtab_operator.errors import KubeConflict, KubeUnavailable
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.resources import CONFIG_MAPS, POLICIES, TRIALS
from trimtab_operator.model.action import DeleteTrial, Step, TrialRecord
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

NOTHING = Step(status=None, actions=(), events=(), requeue_seconds=15.0)


def new_trial() -> TrialRecord:
    body = a_trial().to_body()
    metadata = {"name": "chat-1", "namespace": "prod"}
    return TrialRecord("prod", "chat-1", body={**body, "metadata": metadata})


def step(trial: TrialRecord, status: dict[str, Any] | None = None) -> Step:
    return Step(status=status, actions=(), events=(), requeue_seconds=0.0, trial=trial)


class Desk:
    """A policy in the API server, and what reports and acts on it."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.kube.seed(POLICIES, policy("prod", "chat", "chat"))
        self.kube.seed(CONFIG_MAPS, mode_configmap("sys", "Apply"))
        self.clock = FakeClock()
        self.policies: list[tuple[str, str]] = []
        self.board = TuningBoard(lambda _: None, lambda: self.policies)
        switch = ModeSwitch(self.kube, self.clock, "sys", "trimtab-mode")
        self.hands = Hands(self.kube, switch, self.board, FailPoint())

    async def report(self, made: Step) -> None:
        body = self.kube.stored(POLICIES, "prod", "chat")
        await report(self.kube, EventLedger(self.kube, self.clock, "operator-1"), FailPoint(), body, made)

    def update(self, status: dict[str, Any], *, version: str | None = None) -> TrialRecord:
        stored = self.kube.stored(TRIALS, "prod", "chat-1")
        before = stored.get("status") or {}
        version = version or stored["metadata"]["resourceVersion"]
        return TrialRecord("prod", "chat-1", before=before, status=status, resource_version=version)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_trial_is_stored_before_the_policy_points_to_it(desk: Desk) -> None:
    await desk.report(step(new_trial(), {"currentTrial": "chat-1"}))
    assert desk.kube.writes == [
        ("create", "OptimizationTrial", "prod/chat-1"),
        ("patch", "OptimizationPolicy", "prod/chat"),
    ]


async def test_a_trial_that_an_earlier_try_has_made_is_taken_as_made(desk: Desk) -> None:
    await desk.report(step(new_trial()))
    await desk.report(step(new_trial(), {"currentTrial": "chat-1"}))
    assert len(desk.kube.all(TRIALS)) == 1
    assert desk.kube.stored(POLICIES, "prod", "chat")["status"] == {"currentTrial": "chat-1"}


async def test_a_trial_that_could_not_be_stored_leaves_the_policy_as_it_was(desk: Desk) -> None:
    desk.kube.fail("create", "OptimizationTrial", KubeUnavailable)
    with pytest.raises(KubeUnavailable):
        await desk.report(step(new_trial(), {"currentTrial": "chat-1"}))
    assert "status" not in desk.kube.stored(POLICIES, "prod", "chat")


async def test_a_trial_moves_against_the_version_that_was_read(desk: Desk) -> None:
    await desk.report(step(new_trial()))
    await desk.report(step(desk.update({"phase": "RunIn", "reason": "x"})))
    await desk.report(step(desk.update({"phase": "Starting"})))
    assert desk.kube.stored(TRIALS, "prod", "chat-1")["status"] == {"phase": "Starting"}
    with pytest.raises(KubeConflict):
        await desk.report(step(desk.update({"phase": "Measuring"}, version="old"), {"phase": "Strategy"}))
    assert "status" not in desk.kube.stored(POLICIES, "prod", "chat")


async def test_a_trial_that_stands_still_is_not_written(desk: Desk) -> None:
    await desk.report(step(new_trial()))
    await desk.report(step(desk.update({"phase": "RunIn"})))
    written = len(desk.kube.writes)
    await desk.report(step(desk.update({"phase": "RunIn"})))
    assert len(desk.kube.writes) == written


async def test_an_old_trial_is_deleted_and_one_that_is_gone_is_gone(desk: Desk) -> None:
    await desk.report(step(new_trial()))
    deletion = Step(status=None, actions=(DeleteTrial("prod", "chat-1"),), events=(), requeue_seconds=15.0)
    for _ in range(2):
        await execute(desk.hands, a_tuned_policy(), a_tuned_snapshot(), deletion)
    assert desk.kube.all(TRIALS) == []


async def test_stored_settings_go_to_the_board(desk: Desk) -> None:
    stored = a_tuned_policy(status={"tuning": a_tuning(CANARY)})
    await execute(desk.hands, stored, a_tuned_snapshot(), NOTHING)
    assert [(entry.pod, entry.settings) for entry in desk.board.asked("node-a")] == [
        ("chat-0", CANARY),
        ("chat-1", CANARY),
    ]
    assert desk.board.namespaces() == ("prod",)


async def test_while_the_target_cannot_be_seen_the_board_keeps_what_it_has(desk: Desk) -> None:
    stored = a_tuned_policy(status={"tuning": a_tuning(CANARY)})
    await execute(desk.hands, stored, a_tuned_snapshot(), NOTHING)
    await execute(desk.hands, stored, Snapshot(0.0, TargetProblem("NotFound", "gone")), NOTHING)
    assert len(desk.board.asked("node-a")) == 2


async def test_a_policy_without_a_target_is_heard_so_that_others_entries_are_seen_to(desk: Desk) -> None:
    policy = a_tuned_policy()
    desk.policies.append((str(policy.metadata.namespace), policy.metadata.name))
    assert not desk.board.complete
    await execute(desk.hands, policy, Snapshot(0.0, TargetProblem("NotFound", "gone")), NOTHING)
    assert desk.board.complete


@pytest.mark.parametrize(
    ("spec", "namespaces"),
    [
        pytest.param({}, ("prod",), id="knobs to turn"),
        pytest.param({"knobs": {}}, (), id="no knob"),
        pytest.param({"mode": "Recommend"}, (), id="mode Recommend"),
    ],
)
async def test_a_namespace_needs_a_certificate_before_its_engines_are_asked_for_anything(
    desk: Desk, spec: dict[str, Any], namespaces: tuple[str, ...]
) -> None:
    await execute(desk.hands, a_tuned_policy(**spec), a_tuned_snapshot(), NOTHING)
    assert desk.board.asked("node-a") == ()
    assert desk.board.namespaces() == namespaces
