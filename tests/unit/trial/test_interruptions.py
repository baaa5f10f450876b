"""What ends a trial from outside, and in which phases."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW, a_pod, a_trial, an_engine, at
from fakes.stands import a_stand, a_tuned_policy, attached_pods, attached_target, engines

from trimtab_api.trial import TrialPhase
from trimtab_operator.trial.interruptions import interrupted

PHASES = tuple(phase for phase in TrialPhase if phase != "Finished")
TESTING = {TrialPhase.RUN_IN, TrialPhase.STARTING, TrialPhase.SHADOW, TrialPhase.MEASURING}
PENDING = {TrialPhase.UNKNOWN, TrialPhase.AWAITING_APPROVAL, *TESTING}
CHANGED = (TESTING - {TrialPhase.RUN_IN}) | {TrialPhase.ROLLING_OUT, TrialPhase.VALIDATING}
GIVEN = {"changed": ["uid-chat-0"], "changedAt": at(-60.0), "startedAt": at(-60.0)}
UNTIL_REVERTING = PENDING | CHANGED
CANARY_POD, STABLE_POD = attached_pods()

RULES: list[tuple[str, dict[str, Any], set[TrialPhase], str, str]] = [
    ("another-template", {"target": attached_target(template_hash="new")}, UNTIL_REVERTING,
     "TargetChanged", "the pod template of the target changed"),
    ("another-deployment", {"target": attached_target(uid="new")}, UNTIL_REVERTING,
     "TargetChanged", "the target was made anew"),
    ("mode", {"policy": a_tuned_policy(mode="Recommend")}, PENDING, "Inconclusive", "spec.mode of the policy became"),
    ("rollback", {"policy": a_tuned_policy(rollbackTo="chat-0")}, PENDING, "Inconclusive", "asks for chat-0"),
    ("taken", {"taken_by": "prod/older"}, PENDING, "Inconclusive", "prod/older is older"),
    ("kill-switch", {"max_mode": "Recommend"}, PENDING, "Inconclusive", "maxMode became Recommend"),
    ("canary-gone", {"target": attached_target(pods=(STABLE_POD,))}, TESTING, "Inconclusive",
     "Canary pod chat-0 is gone"),
    ("stable-gone", {"target": attached_target(pods=(CANARY_POD,))}, TESTING, "Inconclusive",
     "Stable pod chat-1 is gone"),
    ("time-over", {"after": 620.0}, TESTING - {TrialPhase.RUN_IN}, "Inconclusive", "time of the trial"),
]  # fmt: skip


def in_phase(phase: TrialPhase, **spec: Any) -> Any:
    given = GIVEN if phase in CHANGED or phase is TrialPhase.REVERTING else {}
    return a_trial(status={"phase": phase} | given, **spec)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    ("stand", "phases", "verdict", "text"), [pytest.param(*rule[1:], id=rule[0]) for rule in RULES]
)
def test_an_interruption_ends_the_trial_in_its_phases_only(
    phase: TrialPhase, stand: dict[str, Any], phases: set[TrialPhase], verdict: str, text: str
) -> None:
    found = interrupted(a_stand(in_phase(phase), **stand))
    assert (found is not None) == (phase in phases)
    if found is None:
        return
    assert (found.verdict, found.violations) == (verdict, 0)
    assert text in found.reason
    goes_back = phase in CHANGED and verdict != "TargetChanged"
    assert found.phase is (TrialPhase.REVERTING if goes_back else TrialPhase.FINISHED)


@pytest.mark.parametrize("phase", PHASES)
def test_without_an_interruption_the_trial_goes_on(phase: TrialPhase) -> None:
    assert interrupted(a_stand(in_phase(phase))) is None


@pytest.mark.parametrize("phase", PHASES)
def test_an_engine_that_goes_back_by_itself_ends_the_trial_with_its_words_and_counts_as_a_violation(
    phase: TrialPhase,
) -> None:
    gone_back = engines(an_engine(refused={"maxBatchSize": "8"}), None)
    found = interrupted(a_stand(in_phase(phase), engines=gone_back))
    assert (found is not None) == (phase in {TrialPhase.MEASURING, TrialPhase.VALIDATING})
    if found is not None:
        assert (found.phase, found.verdict, found.violations) == (TrialPhase.REVERTING, "Regressed", 1)
        assert found.reason == "an engine took the change back: maxBatchSize 8: too large"


@pytest.mark.parametrize("number", [0, 1])
def test_a_pod_that_started_anew_is_not_comparable_any_more(number: int) -> None:
    started = [NOW - 10.0 if each == number else NOW - 3600.0 for each in range(2)]
    pods = tuple(a_pod(f"chat-{each}", started_at=since, attachable=True) for each, since in enumerate(started))
    found = interrupted(a_stand(in_phase(TrialPhase.MEASURING), target=attached_target(pods=pods)))
    assert found is not None
    assert f"chat-{number} started anew" in found.reason


def test_a_pod_that_is_not_ready_for_a_moment_does_not_end_it() -> None:
    pods = (a_pod("chat-0", ready=False, ready_at=None, attachable=True), STABLE_POD)
    assert interrupted(a_stand(in_phase(TrialPhase.MEASURING), target=attached_target(pods=pods))) is None


def test_one_of_several_stable_pods_may_go() -> None:
    arms = [("chat-0", "Canary"), ("chat-1", "Stable"), ("chat-2", "Stable")]
    three = [{"uid": f"uid-{pod}", "name": pod, "node": "node-a", "arm": arm} for pod, arm in arms]
    left = attached_target(pods=attached_pods(3)[:2])
    assert interrupted(a_stand(in_phase(TrialPhase.MEASURING, pods=three), target=left)) is None


@pytest.mark.parametrize(("after", "over"), [(609.0, False), (610.0, True)])
def test_the_time_of_a_trial_counts_from_its_start(after: float, over: bool) -> None:
    assert (interrupted(a_stand(in_phase(TrialPhase.MEASURING), after=after)) is not None) is over
