"""Which settings each pod shall have, by where the trial stands."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from fakes.builders import CANARY, NOW, STABLE, a_trial, a_tuning, at

from trimtab_api.policy_status import LastKnownGood, Tuning
from trimtab_api.trial import OptimizationTrial
from trimtab_operator.trial.texts import when
from trimtab_operator.trial.tuning import last_known_good, restored, tuning_of

GIVEN: dict[str, Any] = {"changed": ["uid-chat-0"], "changedAt": at(), "startedAt": at()}
BEFORE = a_tuning(STABLE, trial="chat-0")
UNDER_TEST = a_tuning(STABLE, trial="chat-0", change={"expiresAt": at(670.0)})
ROLLING_OUT = a_tuning(STABLE, trial="chat-0", change={"expiresAt": None})
PROMOTED = a_tuning(CANARY, trial="chat-1")
GOOD = LastKnownGood(settings=STABLE, trial="chat-0", at=when(NOW - 900.0))


def trial_in(phase: str, verdict: str = "Unknown", **status: Any) -> OptimizationTrial:
    return a_trial(status={"phase": phase, "verdict": verdict} | status)


CASES: list[tuple[str, OptimizationTrial, Tuning, Tuning]] = [
    ("made", trial_in("Unknown"), BEFORE, BEFORE),
    ("awaiting-approval", trial_in("AwaitingApproval"), BEFORE, BEFORE),
    ("run-in", trial_in("RunIn"), BEFORE, BEFORE),
    ("run-in-after-a-change-left-behind", trial_in("RunIn"), UNDER_TEST, BEFORE),
    ("starting", trial_in("Starting", **GIVEN), BEFORE, UNDER_TEST),
    ("shadow", trial_in("Shadow", **GIVEN), BEFORE, UNDER_TEST),
    ("measuring", trial_in("Measuring", **GIVEN), UNDER_TEST, UNDER_TEST),
    ("measuring-in-a-period-without-it", trial_in("Measuring", **GIVEN | {"changed": []}), UNDER_TEST, BEFORE),
    ("rolling-out-what-no-pod-has-yet", trial_in("RollingOut", "Improved", **GIVEN | {"changed": []}), BEFORE, BEFORE),
    ("rolling-out", trial_in("RollingOut", "Improved", **GIVEN), UNDER_TEST, ROLLING_OUT),
    ("validating", trial_in("Validating", "Improved", **GIVEN), ROLLING_OUT, PROMOTED),
    ("kept", trial_in("Finished", "Improved", **GIVEN), PROMOTED, PROMOTED),
    *((f"reverting-{word}", trial_in("Reverting", word, **GIVEN), UNDER_TEST, BEFORE)
      for word in ("Regressed", "Inconclusive", "NotIdentifiable", "NotComparable", "FailedToStart")),
    *((f"finished-{word}", trial_in("Finished", word, **GIVEN), BEFORE, BEFORE)
      for word in ("Regressed", "Inconclusive", "NotIdentifiable", "NotComparable", "FailedToStart", "Denied")),
    ("target-changed-in-the-trial", trial_in("Finished", "TargetChanged", **GIVEN), UNDER_TEST, UNDER_TEST),
    ("target-changed-when-promoted", trial_in("Finished", "TargetChanged", **GIVEN), PROMOTED, PROMOTED),
    ("taken-back-after-the-rollout", trial_in("Reverting", "Regressed", **GIVEN), PROMOTED, BEFORE),
]  # fmt: skip


@pytest.mark.parametrize(("trial", "before", "after"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_the_phase_of_the_trial_says_which_pod_has_what(
    trial: OptimizationTrial, before: Tuning, after: Tuning
) -> None:
    assert tuning_of(trial, before, GOOD, 5.0) == after
    assert tuning_of(trial, after, GOOD, 5.0) == after, "saying it again changes nothing"


def test_a_trial_says_when_its_pods_go_back_by_themselves() -> None:
    change = tuning_of(trial_in("Starting", **GIVEN), BEFORE, GOOD, 5.0).change
    assert change is not None
    assert change.expires_at == when(NOW) + timedelta(seconds=120 + 10 + 480 + 60)


def test_the_first_change_that_is_taken_back_after_its_rollout_leads_to_no_trial() -> None:
    first = LastKnownGood(settings=STABLE, trial=None, at=when(NOW - 900.0))
    for good in (first, None):
        found = tuning_of(trial_in("Reverting", "Regressed", **GIVEN), PROMOTED, good, 5.0)
        assert found == a_tuning(STABLE)


@pytest.mark.parametrize(
    ("trial", "before", "settings", "name"),
    [
        pytest.param(trial_in("RunIn"), None, None, None, id="nothing-moved-yet"),
        pytest.param(trial_in("Starting", **GIVEN), None, STABLE, None, id="the-first-ones"),
        pytest.param(trial_in("Starting", **GIVEN), GOOD, STABLE, "chat-0", id="those-before"),
        pytest.param(trial_in("Validating", "Improved", endedAt=at(), **GIVEN), GOOD, STABLE, "chat-0", id="not-held"),
        pytest.param(trial_in("Finished", "Improved", endedAt=at(), **GIVEN), GOOD, CANARY, "chat-1", id="held"),
        pytest.param(trial_in("Finished", "Regressed", endedAt=at(), **GIVEN), GOOD, STABLE, "chat-0", id="worse"),
    ],
)
def test_good_is_what_was_validated_and_first_what_was_there(
    trial: OptimizationTrial, before: LastKnownGood | None, settings: Any, name: str | None
) -> None:
    found = last_known_good(trial, before)
    assert (found.settings if found else None, found.trial if found else None) == (settings, name)


@pytest.mark.parametrize(("verdict", "settings"), [("Improved", CANARY), ("Regressed", STABLE), ("Denied", STABLE)])
def test_what_a_trial_left_in_force_is_restored(verdict: str, settings: Any) -> None:
    assert restored(trial_in("Finished", verdict)) == settings
