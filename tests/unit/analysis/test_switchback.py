"""Both arms of a switchback: the goal by pairs of periods, everything else as between two pods."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from fakes.builders import NOW, buckets
from fakes.periods import PAIRS, PERIOD_SECONDS, RUN_IN_PERIODS, Level, the_times, turns, without

from trimtab_api.findings import Measure
from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_operator.analysis.switchback import compare_periods, paired
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.comparison import Comparison, Effect, GuardComparison, NotMeasured
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.trial.observed import rows

LATENCY: Any = {"latency": {"percentile": 95, "max": "100ms"}}
MEASURED_SECONDS = 40.0


def compared(
    arms: Arms, goal: Goal = Goal.MINIMIZE_COST, *, pairs: int = PAIRS, after: float | None = None, **objectives: Any
) -> Comparison:
    times = the_times(pairs)
    now = times.judged_until if after is None else NOW + after
    asked = Objectives.model_validate(objectives) if objectives else None
    return compare_periods(arms, times, now=now, goal=goal, objectives=asked, confidence=0.95)


def effect(arms: Arms, goal: Goal = Goal.MINIMIZE_COST, **how: Any) -> Effect:
    found = compared(arms, goal, **how).goal
    assert isinstance(found, Effect), found
    return found


def guard(arms: Arms, name: str, **how: Any) -> GuardComparison:
    return next(each for each in compared(arms, **how).guards if each.name == name)


def busy(changed: float, unchanged: float = 0.8, noise: float = 0.01) -> dict[Signal, Level]:
    return {
        Signal.BUSY_RATIO: lambda number, has_change: (changed if has_change else unchanged) * (1.0 + noise * number)
    }


def test_the_effect_is_the_mean_of_the_pairs_and_what_is_not_settled_is_left_out() -> None:
    found = effect(turns(busy(0.6, noise=0.0)))
    assert found.log_ratio == pytest.approx(math.log(0.6 / 0.8))
    assert (found.what, found.of_capacity, found.pairs, found.slots) == ("busy seconds per answer", True, PAIRS, 0)
    assert found.low < found.log_ratio < found.high


def test_a_load_that_grows_from_period_to_period_leaves_the_effect_where_it_is() -> None:
    levels = busy(0.6, noise=0.0) | {Signal.REQUESTS_PER_SECOND: lambda number, _: 30.0 + number}
    found = effect(turns(levels))
    assert found.low < math.log(0.6 / 0.8) < found.high


@pytest.mark.parametrize(
    ("arms", "until_pairs", "counted"),
    [
        pytest.param(turns(busy(0.6)), 5, 5, id="the rest comes later"),
        pytest.param(turns(busy(0.6), pairs=8), 8, 8, id="all"),
        pytest.param(without(turns(busy(0.6), pairs=8), 3, 8), 8, 6, id="not with half of it"),
    ],
)
def test_only_whole_pairs_up_to_the_look_count(arms: Arms, until_pairs: int, counted: int) -> None:
    assert effect(arms, pairs=until_pairs).pairs == counted


def idle(number: int, _: bool) -> float | None:
    return None if number == 2 else 0.0 if number in {4, 5} else 0.8


def test_a_pair_without_answers_or_in_which_nothing_was_spent_says_nothing() -> None:
    assert effect(turns({Signal.BUSY_RATIO: idle}, pairs=8), pairs=8).pairs == 6


def test_fewer_than_five_pairs_are_no_evidence_yet() -> None:
    found = compared(turns(busy(0.6)), pairs=4).goal
    assert found == NotMeasured("4 pairs of periods have data with and without the change; 5 are needed", passing=True)


def test_energy_is_compared_by_pairs_and_shown_with_its_effect() -> None:
    watts: dict[Signal, Level] = {
        Signal.GPU_POWER_WATTS: lambda number, changed: (300.0 if changed else 400.0) + number
    }
    found = compared(turns(watts), Goal.MINIMIZE_ENERGY)
    assert isinstance(found.goal, Effect)
    assert found.goal.what == "GPU joules per answer"
    shown = next(row for row in rows(found.beside, found.goal) if row.measure is Measure.ENERGY_PER_REQUEST)
    assert shown.effect is not None
    assert float(shown.effect) == pytest.approx(-0.25, abs=0.01)


def test_what_nothing_stands_for_cannot_be_judged() -> None:
    found = compared(turns({Signal.BUSY_RATIO: None})).goal
    assert found == NotMeasured("neither busy time nor CPU time is measured in both arms")


def slow(share_changed: float, share_unchanged: float) -> Any:
    def durations(_: int, changed: bool) -> Buckets:
        return buckets(1000.0, 0.05, share_changed if changed else share_unchanged)

    return durations


def test_for_latency_the_share_of_late_requests_is_compared_by_pairs() -> None:
    found = effect(turns(durations=slow(0.02, 0.08)), Goal.MINIMIZE_LATENCY, **LATENCY)
    assert (found.what, found.of_capacity, found.pairs) == ("share of requests over 100ms", False, PAIRS)
    assert found.log_ratio == pytest.approx(math.log(0.02 / 0.08), abs=0.03)


def test_without_a_late_request_there_is_an_effect_too_and_without_requests_there_is_none() -> None:
    assert effect(turns(durations=slow(0.0, 0.0)), Goal.MINIMIZE_LATENCY, **LATENCY).log_ratio == 0.0
    found = compared(turns(durations=lambda *_: None), Goal.MINIMIZE_LATENCY, **LATENCY).goal
    assert isinstance(found, NotMeasured)


def test_without_a_latency_objective_minimize_latency_is_judged_by_cost() -> None:
    assert effect(turns(busy(0.6)), Goal.MINIMIZE_LATENCY).what == "busy seconds per answer"


def test_requests_and_load_are_those_of_the_measured_time_and_shares_are_not_compared() -> None:
    found = compared(turns(busy(0.6, noise=0.0)))
    assert found.canary_requests == found.stable_requests == pytest.approx(30.0 * MEASURED_SECONDS * PAIRS)
    assert (found.canary_load_ratio, found.load_ratio) == pytest.approx((0.6, 0.8))
    assert found.request_share_ratio is None
    assert {row.measure: (row.canary, row.stable) for row in found.beside}[Measure.THROUGHPUT] == pytest.approx(
        (50.0, 37.5)
    )


def failing(number: int, changed: bool) -> float:
    return 6.0 if changed else 0.0


def test_a_change_that_breaks_its_first_period_is_seen_in_it_beside_the_run_in() -> None:
    arms = turns({Signal.ERRORS_PER_SECOND: failing})
    first = without(arms, 0, *range(2, 2 * PAIRS))
    found = guard(first, "errorRatio", after=2 * PERIOD_SECONDS, errorRatio={"max": "0.01"})
    assert (found.breached, found.worse) == (True, True)
    assert (found.canary, found.stable) == pytest.approx((0.2, 0.0))
    assert found.samples == pytest.approx(30.0 * MEASURED_SECONDS)


def test_late_requests_that_only_the_change_brings_breach_their_guard() -> None:
    found = guard(turns(durations=slow(0.3, 0.01)), "latency", **LATENCY)
    assert (found.breached, found.worse, found.stable_breached) == (True, True, False)
    assert found.samples == 1000.0 * PAIRS


def test_durations_of_requests_with_the_change_alone_are_compared_with_nothing() -> None:
    def durations(_: int, changed: bool) -> Buckets | None:
        return buckets(1000.0, 0.05, 0.3) if changed else None

    assert [each.name for each in compared(turns(durations=durations), **LATENCY).guards] == ["errorRatio"]


def test_where_minutes_without_the_change_differ_as_much_nothing_is_beyond_doubt() -> None:
    """The same shares as above over all periods; but unchanged minutes are good or bad by themselves."""

    def durations(number: int, changed: bool) -> Buckets:
        bad = changed or number in {-1, 4}
        return buckets(1000.0, 0.05, 0.3 if bad else 0.0)

    for rule in (LATENCY, {"satisfactionRatio": {"min": "0.95", "satisfiedWithin": "100ms"}}):
        found = guard(turns(durations=durations), next(iter(rule)), **rule)
        steady = guard(turns(durations=slow(0.3, 0.06)), next(iter(rule)), **rule)
        assert found.breached
        assert not found.worse
        assert steady.worse


def test_before_anything_is_measured_there_is_nothing_to_compare() -> None:
    found = compared(turns(pairs=0), pairs=0)
    assert (found.canary_requests, found.guards, found.load_ratio) == (0.0, (), None)
    bare = without(turns(pairs=0), *range(-RUN_IN_PERIODS, 0))
    assert compared(bare, pairs=0).guards == ()


def test_of_pairs_that_differ_by_chance_alone_one_interval_in_twenty_leaves_out_nothing() -> None:
    random = np.random.default_rng(7)
    missed = 0
    for _ in range(2000):
        found = paired(tuple(map(float, random.normal(0.0, 0.2, size=6))), 0.95)
        missed += not found.low <= 0.0 <= found.high
    assert missed / 2000 == pytest.approx(0.05, abs=0.015)


def test_pairs_that_are_all_alike_are_not_believed_beyond_what_pods_wander() -> None:
    found = paired((0.1,) * 5, 0.95)
    assert found.high - found.point == pytest.approx(0.02 * NormalDist().inv_cdf(0.975))
    assert effect(turns(busy(0.6))).least_half_width == pytest.approx(found.high - found.point)
