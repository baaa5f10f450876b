"""Both arms side by side: the goal's effect, guards, load, shares, and what stands beside them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.arms import CHANGED_AT, SETTLED_AT, SLOT_SECONDS, UNTIL, Level, after_change, some_arms, the_times
from fakes.builders import buckets
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_api.findings import Measure
from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_operator.analysis.comparison import compare
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.comparison import Comparison, Effect, GuardComparison, NotMeasured
from trimtab_operator.model.signals import Buckets, Signal, SignalState

RPS, ERRORS, BUSY = Signal.REQUESTS_PER_SECOND, Signal.ERRORS_PER_SECOND, Signal.BUSY_RATIO
CORES, LIMIT, WATTS = Signal.CPU_USED_CORES, Signal.CPU_LIMIT_CORES, Signal.GPU_POWER_WATTS
LATENCY, MEMORY = Signal.LATENCY_SECONDS, Signal.GPU_MEMORY_USED_RATIO
COST, SPEED, ENERGY = Goal.MINIMIZE_COST, Goal.MINIMIZE_LATENCY, Goal.MINIMIZE_ENERGY


def compared(arms: Arms, goal: Goal = COST, until: float = UNTIL, **objectives: Any) -> Comparison:
    rules = Objectives.model_validate(objectives) if objectives else None
    return compare(arms, the_times(until), now=UNTIL, goal=goal, objectives=rules, confidence=0.9875)


def effect(arms: Arms, goal: Goal = COST, **more: Any) -> Effect:
    found = compared(arms, goal, **more).goal
    assert isinstance(found, Effect), found
    return found


def reason(arms: Arms, goal: Goal = COST, **more: Any) -> str:
    found = compared(arms, goal, **more).goal
    assert isinstance(found, NotMeasured), found
    return found.reason


def guard(comparison: Comparison, name: str) -> GuardComparison:
    return next(each for each in comparison.guards if each.name == name)


def test_the_effect_is_the_change_of_busy_seconds_per_good_answer() -> None:
    found = effect(some_arms({BUSY: after_change(0.8, 0.4)}))
    assert found.log_ratio == pytest.approx(math.log(0.5))
    assert (found.what, found.of_capacity, found.slots, found.run_in_slots) == ("busy seconds per answer", True, 12, 6)
    assert found.low < found.log_ratio < found.high < 0.0


def test_a_difference_between_the_pods_that_was_there_before_is_no_effect() -> None:
    assert effect(some_arms({BUSY: 0.7})).log_ratio == pytest.approx(0.0)


def test_what_the_minutes_do_to_both_arms_is_no_effect() -> None:
    def falling(number: int) -> float:
        return 0.8 - 0.02 * number

    assert effect(some_arms({BUSY: falling}, {BUSY: falling})).log_ratio == pytest.approx(0.0)


def test_answers_that_failed_are_no_answers() -> None:
    assert effect(some_arms({ERRORS: after_change(0.0, 15.0)})).log_ratio == pytest.approx(math.log(2.0))


def test_slots_before_the_arms_have_settled_and_after_the_look_are_left_out() -> None:
    def canary(number: int) -> float:
        settles, late = number == 0, number > 6
        return 5.0 if settles or late else 0.8

    found = effect(some_arms({BUSY: canary}), until=SETTLED_AT + 6 * SLOT_SECONDS)
    assert found.log_ratio == pytest.approx(0.0)
    assert found.slots == 6


def test_without_busy_time_the_cpu_time_speaks() -> None:
    without: dict[Signal, Level] = {BUSY: None, CORES: 1.0, LIMIT: 2.0}
    comparison = compared(some_arms({**without, CORES: after_change(1.0, 0.5)}, without))
    assert isinstance(comparison.goal, Effect)
    assert comparison.goal.what == "CPU seconds per answer"
    assert comparison.goal.log_ratio == pytest.approx(math.log(0.5))
    assert comparison.load_ratio == pytest.approx(0.5)


def test_energy_is_watts_over_good_answers() -> None:
    comparison = compared(some_arms({WATTS: after_change(200.0, 150.0)}, {WATTS: 200.0}), ENERGY)
    assert isinstance(comparison.goal, Effect)
    assert not comparison.goal.of_capacity
    assert comparison.goal.log_ratio == pytest.approx(math.log(0.75))
    row = next(each for each in comparison.beside if each.measure is Measure.ENERGY_PER_REQUEST)
    assert (row.canary, row.stable) == pytest.approx((5.0, 20.0 / 3.0))


@pytest.mark.parametrize("goal", [COST, Goal.MAXIMIZE_THROUGHPUT, SPEED, ENERGY])
def test_what_is_not_measured_is_said_and_never_zero(goal: Goal) -> None:
    found = compared(some_arms({BUSY: None}), goal)
    assert isinstance(found.goal, NotMeasured)
    assert "both arms" in found.goal.reason
    assert not found.goal.passing
    assert found.load_ratio == pytest.approx(0.8)


def test_only_slots_with_data_of_both_arms_count() -> None:
    arms = some_arms()
    gap = {pod: values[:9] if pod == "canary-0" else values for pod, values in arms.slots[BUSY].items()}
    few = replace(arms, slots={**arms.slots, BUSY: gap})
    found = compared(few).goal
    assert found == NotMeasured("2 slots since the change have data of both arms; 5 are needed", passing=True)


def test_a_run_in_that_is_too_short_does_not_get_longer() -> None:
    arms = some_arms()
    late = {pod: values[3:] for pod, values in arms.slots[BUSY].items()}
    found = compared(replace(arms, slots={**arms.slots, BUSY: late})).goal
    assert found == NotMeasured("3 slots of the run-in have data of both arms; 4 are needed")


@pytest.mark.parametrize(
    ("canary", "stable", "expected"),
    [
        pytest.param(0.0, 0.8, -3.0, id="canary-answers-all-from-its-cache"),
        pytest.param(0.8, 0.0, 3.0, id="stable-does"),
        pytest.param(1000.0, 0.8, 3.0, id="beyond-twentyfold"),
    ],
)
def test_a_slot_says_at_most_that_the_arms_are_very_different(canary: float, stable: float, expected: float) -> None:
    found = effect(some_arms({BUSY: after_change(0.8, canary)}, {BUSY: after_change(0.8, stable)}))
    assert found.log_ratio == pytest.approx(expected)


def test_slots_in_which_nobody_worked_say_nothing() -> None:
    assert reason(some_arms({BUSY: after_change(0.8, 0.0)}, {BUSY: after_change(0.8, 0.0)})).startswith("0 slots")


def test_values_that_are_no_numbers_are_no_data() -> None:
    assert reason(some_arms({BUSY: after_change(0.8, math.nan)})).startswith("0 slots")


def test_an_arm_of_several_pods_is_their_sum() -> None:
    arms = some_arms({BUSY: after_change(0.8, 0.4)})
    slots = {signal: {**by_pod, "stable-1": by_pod["stable-0"]} for signal, by_pod in arms.slots.items()}
    comparison = compared(replace(arms, stable=("stable-0", "stable-1", "stable-gone"), slots=slots))
    assert isinstance(comparison.goal, Effect)
    assert comparison.goal.log_ratio == pytest.approx(math.log(0.5))
    assert (comparison.canary_requests, comparison.stable_requests) == pytest.approx((3600.0, 7200.0))
    assert comparison.request_share_ratio == pytest.approx(4.0 / 3.0)


def test_load_is_that_of_the_busier_arm_and_requests_are_counted_up_to_the_look() -> None:
    comparison = compared(some_arms({BUSY: 0.3, RPS: 15.0}, {BUSY: 0.7, RPS: 45.0}))
    assert (comparison.canary_load_ratio, comparison.load_ratio) == pytest.approx((0.3, 0.7))
    assert (comparison.canary_requests, comparison.stable_requests) == pytest.approx((1800.0, 5400.0))
    assert comparison.request_share_ratio == pytest.approx(0.5)


def test_without_any_request_nothing_is_compared() -> None:
    comparison = compared(some_arms({RPS: None, BUSY: None}, {RPS: None, BUSY: None}))
    assert comparison.request_share_ratio is None
    assert comparison.load_ratio is None
    assert (comparison.guards, comparison.beside) == ((), ())


def latencies(canary: Buckets | None, stable: Buckets | None) -> Arms:
    return some_arms(distributions={LATENCY: (canary, stable)})


def test_a_latency_goal_with_an_objective_is_judged_by_the_share_over_it() -> None:
    arms = latencies(buckets(1000.0, slow=0.02), buckets(1000.0, slow=0.10))
    found = effect(arms, SPEED, latency={"max": "500ms"})
    assert found.what == "share of requests over 500ms"
    assert found.log_ratio == pytest.approx(math.log(20.5 / 100.5))
    assert found.high < 0.0
    assert (found.of_capacity, found.slots) == (False, 0)


def test_a_latency_goal_without_histograms_waits_for_them() -> None:
    found = compared(latencies(buckets(100.0), None), SPEED, latency={"max": "500ms"})
    assert found.goal == NotMeasured("the latency of requests is not measured in both arms", passing=True)


def test_a_latency_guard_compares_the_shares_over_the_limit() -> None:
    arms = latencies(buckets(400.0, slow=0.5), buckets(400.0, slow=0.02))
    found = guard(compared(arms, latency={"max": "500ms"}), "latency")
    assert (found.canary, found.stable, found.limit) == pytest.approx((0.5, 0.02, 0.05))
    assert (found.breached, found.stable_breached, found.worse) == (True, False, True)
    assert (found.samples, found.bad) == pytest.approx((400.0, 200.0))


@pytest.mark.parametrize(
    ("canary", "stable"),
    [
        pytest.param(0.5, 0.5, id="both-in-breach"),
        pytest.param(0.06, 0.055, id="less-than-a-point-apart"),
        pytest.param(0.10, 0.06, id="by-chance"),
        pytest.param(0.2, 0.6, id="better"),
    ],
)
def test_a_breach_that_stable_shares_is_not_worse(canary: float, stable: float) -> None:
    arms = latencies(buckets(400.0, slow=canary), buckets(400.0, slow=stable))
    found = guard(compared(arms, latency={"max": "500ms"}), "latency")
    assert (found.breached, found.worse) == (True, False)


def test_what_a_pod_was_worse_by_before_the_change_is_not_the_changes_fault() -> None:
    arms = latencies(buckets(400.0, slow=0.5), buckets(400.0, slow=0.02))
    alike = replace(arms, run_in=arms.distributions)
    objectives: dict[str, Any] = {
        "latency": {"max": "500ms"},
        "satisfactionRatio": {"min": "0.9", "satisfiedWithin": "500ms"},
    }
    for name in objectives:
        found = guard(compared(alike, **objectives), name)
        assert (found.breached, found.worse) == (True, False)
    assert effect(alike, SPEED, **objectives).log_ratio == pytest.approx(0.0)


def test_a_pod_that_failed_before_the_change_is_not_failed_by_it() -> None:
    found = guard(compared(some_arms({ERRORS: 3.0})), "errorRatio")
    assert (found.breached, found.worse) == (True, False)


def test_tokens_have_guards_of_their_own() -> None:
    pair = (buckets(400.0, slow=0.5), buckets(400.0))
    arms = some_arms(distributions={Signal.TIME_TO_FIRST_TOKEN_SECONDS: pair, Signal.INTER_TOKEN_LATENCY_SECONDS: pair})
    comparison = compared(arms, timeToFirstToken={"max": "500ms"}, interTokenLatency={"max": "500ms"})
    assert guard(comparison, "timeToFirstToken").worse
    assert guard(comparison, "interTokenLatency").worse


@pytest.mark.parametrize("state", [SignalState.ERROR, SignalState.STALE])
def test_a_histogram_that_is_not_sound_makes_no_guard(state: SignalState) -> None:
    arms = latencies(buckets(400.0, slow=0.5), buckets(400.0))
    unsound = replace(arms, distributions={LATENCY: replace(arms.distributions[LATENCY], state=state)})
    comparison = compared(unsound, latency={"max": "500ms"}, satisfactionRatio={"min": "0.9", "satisfiedWithin": "1s"})
    assert [each.name for each in comparison.guards] == ["errorRatio"]


def test_satisfaction_compares_the_shares_that_are_not_satisfied() -> None:
    arms = latencies(buckets(400.0, slow=0.5), buckets(400.0))
    found = guard(compared(arms, satisfactionRatio={"min": "0.9", "satisfiedWithin": "500ms"}), "satisfactionRatio")
    assert (found.canary, found.stable, found.limit) == pytest.approx((0.5, 0.0, 0.1))
    assert (found.breached, found.worse) == (True, True)


def test_errors_are_a_guard_with_the_policys_limit_or_without_one() -> None:
    arms = some_arms({ERRORS: after_change(0.0, 3.0)})
    asked, unasked = guard(compared(arms, errorRatio={"max": "0.01"}), "errorRatio"), compared(arms).guards[0]
    assert (asked.limit, unasked.limit) == (0.01, 0.05)
    assert (asked.canary, asked.bad, asked.samples) == pytest.approx((0.1, 360.0, 3600.0))
    assert asked.worse
    assert unasked.worse


def test_errors_that_came_in_bursts_where_nothing_was_changed_are_no_proof_against_the_canary() -> None:
    def bursts(number: int) -> float:
        return 12.0 if number % 3 == 0 else 0.0

    grown = {ERRORS: after_change(4.0, 7.0)}
    steady, bursting = (guard(compared(some_arms(grown, {ERRORS: each})), "errorRatio") for each in (4.0, bursts))
    assert steady.stable == bursting.stable == pytest.approx(4.0 / 30.0)
    assert (steady.worse, bursting.worse) == (True, False)


def test_gpu_memory_is_compared_by_its_largest_value() -> None:
    limit: dict[str, Any] = {"gpuMemoryRatio": {"max": "0.9"}}
    found = guard(compared(some_arms({MEMORY: 0.95}, {MEMORY: 0.80}), **limit), "gpuMemoryRatio")
    assert (found.canary, found.stable, found.breached, found.worse) == (0.95, 0.80, True, True)
    alike = guard(compared(some_arms({MEMORY: 0.95}, {MEMORY: 0.95}), **limit), "gpuMemoryRatio")
    assert (alike.worse, alike.chance) == (False, 1.0)
    assert [each.name for each in compared(some_arms({MEMORY: 0.95}), **limit).guards] == ["errorRatio"]


def test_capacity_latency_errors_and_cache_hits_stand_side_by_side() -> None:
    arms = some_arms(
        {BUSY: after_change(0.8, 0.4), ERRORS: 3.0, Signal.CACHE_HIT_RATIO: 0.5},
        distributions={LATENCY: (buckets(100.0, 0.02), buckets(100.0, 0.05))},
    )
    rows = {each.measure: each for each in compared(arms).beside}
    assert list(rows) == [Measure.THROUGHPUT, Measure.LATENCY_P95, Measure.ERRORS, Measure.CACHE_HITS]
    assert (rows[Measure.THROUGHPUT].canary, rows[Measure.THROUGHPUT].stable) == pytest.approx((67.5, 37.5))
    assert rows[Measure.LATENCY_P95].canary == pytest.approx(0.02, rel=0.2)
    assert (rows[Measure.ERRORS].canary, rows[Measure.ERRORS].stable) == pytest.approx((0.1, 0.0))
    assert (rows[Measure.CACHE_HITS].canary, rows[Measure.CACHE_HITS].stable) == (0.5, None)


def test_an_arm_without_answers_has_no_capacity_per_request() -> None:
    arms = some_arms({WATTS: 200.0, RPS: after_change(30.0, 0.0)}, {WATTS: 200.0})
    rows = {each.measure: each for each in compared(arms, ENERGY).beside}
    assert rows[Measure.ENERGY_PER_REQUEST].canary is None
    assert Measure.ERRORS not in rows


def test_without_a_series_of_errors_nothing_is_said_of_them() -> None:
    arms = some_arms()
    del arms.slots[ERRORS]
    rows = {each.measure for each in compared(arms).beside}
    assert Measure.THROUGHPUT in rows
    assert Measure.ERRORS not in rows


def noisy(seed: int, spread: float, neighbours: float, change: float = 0.0) -> Arms:
    random = np.random.default_rng(seed)

    def level(change: float) -> Level:
        noise = [0.0]
        for each in random.normal(0.0, spread * math.sqrt(1.0 - neighbours**2), size=60):
            noise.append(neighbours * noise[-1] + float(each))
        return lambda number: 0.8 * math.exp(noise[number + 30] + (change if number >= 0 else 0.0))

    return some_arms({BUSY: level(change)}, {BUSY: level(0.0)})


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([0.06, 0.1]), change=st.floats(-0.5, 0.5))
def test_arms_that_change_their_names_change_the_sign(seed: int, spread: float, change: float) -> None:
    arms = noisy(seed, spread, 0.3, change)
    swapped = replace(arms, canary=arms.stable, stable=arms.canary)
    here, there = effect(arms), effect(swapped)
    assert (here.log_ratio, here.low, here.high) == pytest.approx((-there.log_ratio, -there.high, -there.low))


@pytest.mark.parametrize(("spread", "neighbours"), [(0.06, 0.0), (0.1, 0.0), (0.06, 0.3), (0.1, 0.3)])
def test_equal_arms_seldom_look_different(spread: float, neighbours: float) -> None:
    found = [effect(noisy(seed, spread, neighbours)) for seed in range(400)]
    assert sum(each.high < 0.0 for each in found) <= 0.02 * len(found)
    assert sum(each.low > 0.0 for each in found) <= 0.02 * len(found)


def test_times_are_unix_seconds_of_slot_ends() -> None:
    arms = some_arms()
    assert arms.slots[BUSY]["canary-0"][5].at == CHANGED_AT
