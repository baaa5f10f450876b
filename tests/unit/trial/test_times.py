"""Which time counts: when a run-in is long enough, and what each look compares."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fakes.arms import CHANGED_AT, Level, some_arms

from trimtab_api.policy_spec import Goal
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial.looks import look_at, look_times
from trimtab_operator.trial.times import long_enough, times_at

RULES = TrialRules(window="60s", max_window="5m")  # ten-second slots
BUSY = Signal.BUSY_RATIO
RUN_IN = 36


def arms(spread: float) -> Arms:
    random = np.random.default_rng(3)
    noise = random.normal(0.0, spread, RUN_IN)
    busy: Level = lambda number: 0.7 * math.exp(noise[number + RUN_IN]) if number < 0 else 0.7  # noqa: E731
    return some_arms({BUSY: busy}, run_in_slots=RUN_IN)


def enough(seen: Arms | None, alike: float, goal: Goal = Goal.MINIMIZE_COST) -> bool:
    return long_enough(RULES, seen, goal, CHANGED_AT - alike, CHANGED_AT)


@pytest.mark.parametrize(
    ("spread", "alike", "expected"),
    [
        pytest.param(0.001, 59.0, False, id="less-than-a-window"),
        pytest.param(0.001, 60.0, True, id="quiet"),
        pytest.param(0.08, 60.0, False, id="noisy"),
        pytest.param(0.12, 359.0, False, id="noisy-for-long"),
        pytest.param(0.12, 360.0, True, id="long-enough-for-any-noise"),
        pytest.param(0.05, 120.0, False, id="some-noise"),
        pytest.param(0.05, 300.0, True, id="some-noise-over-many-slots"),
    ],
)
def test_a_run_in_lasts_until_a_gain_of_15_percent_would_be_told(spread: float, alike: float, expected: bool) -> None:
    assert enough(arms(spread), alike) is expected


def test_a_run_in_waits_for_slots_but_not_for_what_is_not_measured() -> None:
    gap = some_arms({BUSY: lambda number: math.nan if number < 0 else 0.8})
    assert not enough(gap, 300.0), "the slots have not come yet"
    assert enough(gap, 300.0, Goal.MINIMIZE_ENERGY), "nobody measures power"
    assert enough(None, 300.0)


def test_the_first_window_counts_in_full_and_later_what_may_be_cold_is_left_out() -> None:
    found = [times_at(look_at(due, RULES), RULES, 0.0, 1000.0, 1010.0) for due in look_times(RULES)]
    assert [(each.judged_from, each.judged_until) for each in found] == [
        (1010.0, 1070.0),
        (1040.0, 1130.0),
        (1070.0, 1250.0),
        (1070.0, 1310.0),
    ]
    assert {(each.changed_at, each.settled_at) for each in found} == {(1000.0, 1010.0)}


@pytest.mark.parametrize(
    ("alike_from", "run_in_from"),
    [
        pytest.param(940.0, 940.0, id="a-window"),
        pytest.param(880.0, 910.0, id="two-windows"),
        pytest.param(800.0, 860.0, id="warm"),
        pytest.param(0.0, 700.0, id="maxWindow-at-most"),
    ],
)
def test_of_the_time_alike_the_begin_is_left_out(alike_from: float, run_in_from: float) -> None:
    assert times_at(look_at(60.0, RULES), RULES, alike_from, 1000.0, 1010.0).run_in_from == run_in_from
