"""How many trials are kept."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import STABLE, a_trial, at
from fakes.stands import a_tuned_policy, a_tuned_snapshot

from trimtab_api.trial import OptimizationTrial
from trimtab_operator.model.action import DeleteTrial
from trimtab_operator.trial.prune import KEPT_TRIALS, prune


def ledger(count: int, *, created: float = -9000.0, phase: str = "Finished") -> tuple[OptimizationTrial, ...]:
    """Trials chat-1 … of an earlier search: made before the baseline."""
    return tuple(a_trial(f"chat-{number + 1}", status={"phase": phase}, created=created) for number in range(count))


def pruned(trials: tuple[OptimizationTrial, ...], **policy: Any) -> list[str]:
    found = prune(a_tuned_policy(**policy), a_tuned_snapshot(trials=trials))
    assert all(each == DeleteTrial("prod", each.name) for each in found)
    return [each.name for each in found]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (KEPT_TRIALS, []), (KEPT_TRIALS + 1, ["chat-1"]), (KEPT_TRIALS + 9, ["chat-1"])],
)
def test_the_oldest_goes_first_and_one_at_a_time(count: int, expected: list[str]) -> None:
    assert pruned(ledger(count)) == expected


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({"status": {"currentTrial": "chat-1"}}, id="the one under way"),
        pytest.param({"status": {"lastKnownGood": {"settings": STABLE, "trial": "chat-1", "at": at()}}}, id="the good"),
        pytest.param({"rollbackTo": "chat-1"}, id="the one to go back to"),
    ],
)
def test_a_trial_that_somebody_points_to_is_kept(policy: dict[str, Any]) -> None:
    assert pruned(ledger(KEPT_TRIALS + 2), **policy) == ["chat-2"]


def test_the_trials_of_the_present_search_are_all_kept() -> None:
    assert pruned(ledger(KEPT_TRIALS + 5, created=-600.0)) == []


def test_a_trial_that_is_not_over_is_kept() -> None:
    assert pruned(ledger(KEPT_TRIALS + 1, phase="Measuring")) == []
