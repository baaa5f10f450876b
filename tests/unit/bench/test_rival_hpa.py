"""Kubernetes HPA on a Pods metric: what it recommends, and at which pace it follows."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
from harness.rival_views import PROFILE, STARTING, WHOLE, pod, view

from bench.scaling.rivals.hpa import Hpa, Settings
from bench.scaling.rivals.hpa_behavior import Behavior, BehaviorPace, Bounds, Pace, PlainPace, Policy, Rules, pace_of
from bench.scaling.rivals.hpa_metric import Tolerance, milli, replicas_of_pods
from bench.scaling.rivals.offline import sequences_at_objective

TARGET = 10_000
"""Ten requests per pod, in thousandths."""

DEFAULT_RULES = Behavior(
    up=Rules(0.0, (Policy("Percent", 100, 15.0), Policy("Pods", 4, 15.0))),
    down=Rules(300.0, (Policy("Percent", 100, 15.0),)),
)


@pytest.mark.parametrize(
    ("current", "values", "pending", "missing", "expected"),
    [
        # Nothing is missing: ceil(mean / target x pods), but for a tenth around the target.
        pytest.param(2, [20, 20], 0, 0, 4, id="twice the target: ceil(2 x 2)"),
        pytest.param(3, [12, 12, 12], 0, 0, 4, id="1.2 x 3 = 3.6, rounded up"),
        pytest.param(4, [2, 2, 2, 2], 0, 0, 1, id="0.2 x 4 = 0.8, rounded up"),
        pytest.param(3, [0, 0, 0], 0, 0, 0, id="no load: none"),
        pytest.param(3, [11, 11, 11], 0, 0, 3, id="1.1 is still within the tolerance"),
        pytest.param(3, [12, 11, 11], 0, 0, 4, id="1.133 is not: ceil(3.4)"),
        pytest.param(3, [9, 9, 9], 0, 0, 3, id="0.9 is within the tolerance"),
        # Over the target, pods without a value count as idle.
        pytest.param(4, [20, 20], 2, 0, 4, id="2 -> 40 / 4 / 10 = 1 with pending ones: hold"),
        pytest.param(4, [20, 20], 0, 2, 4, id="the same with missing ones"),
        pytest.param(4, [40, 40], 2, 0, 8, id="4 -> 80 / 4 / 10 = 2: ceil(2 x 4)"),
        pytest.param(4, [30, 30], 1, 1, 6, id="3 -> 60 / 4 / 10 = 1.5: both kinds count"),
        pytest.param(4, [14, 14], 2, 0, 4, id="1.4 -> 0.7: the direction would turn, hold"),
        # Below the target, missing ones count as on target, and pending ones do not count.
        pytest.param(4, [2, 2], 0, 2, 3, id="0.2 -> (2 + 2 + 10 + 10) / 4 / 10 = 0.6: ceil(2.4)"),
        pytest.param(4, [2, 2], 2, 0, 1, id="0.2 of the two that run: ceil(0.4)"),
        pytest.param(4, [8, 8, 8], 0, 1, 4, id="0.8 -> 0.85: ceil(3.4)"),
        pytest.param(2, [5, 5, 5], 0, 1, 2, id="0.5 -> 0.625: ceil(2.5) is up while usage is low, hold"),
        pytest.param(9, [30, 30], 1, 0, 9, id="3 -> 2: ceil(6) is down while usage is high, hold"),
        pytest.param(3, [10, 10], 0, 1, 3, id="on target, whatever is missing"),
        pytest.param(3, [10, 10], 1, 0, 3, id="on target, whatever is pending"),
    ],
)  # fmt: skip
def test_a_pods_metric_recommends(current: int, values: list[int], pending: int, missing: int, expected: int) -> None:
    found = replicas_of_pods(
        current, [1000 * value for value in values], TARGET, Tolerance(), pending=pending, missing=missing
    )
    assert found == expected


def test_no_value_recommends_nothing() -> None:
    assert replicas_of_pods(3, [], TARGET, Tolerance(), pending=1, missing=2) is None


def test_the_mean_is_cut_to_thousandths() -> None:
    # 11.0005 requests per pod of 10 would be over the tolerance; 11.000 is not.
    assert replicas_of_pods(2, [11_000, 11_001], TARGET, Tolerance(), pending=0, missing=0) == 2


@pytest.mark.parametrize(("value", "expected"), [(0.7 * 10, 7000), (0.1 + 0.2, 300), (0.0001, 1), (0.0, 0)])
def test_quantities_are_rounded_up(value: float, expected: int) -> None:
    assert milli(value) == expected


@pytest.mark.parametrize(
    ("tpot_seconds", "expected"),
    # A token takes 0.01 + 0.001 seconds per sequence; at most 256 run.
    [(0.05, WHOLE), (0.0499, 39), (0.266, 256), (1.0, 256), (0.011, 1), (0.001, 1)],
)
def test_a_load_test_finds_what_runs_within_the_objective_per_token(tpot_seconds: float, expected: int) -> None:
    objectives = dataclasses.replace(PROFILE.objectives, tpot_seconds=tpot_seconds)
    assert sequences_at_objective(dataclasses.replace(PROFILE, objectives=objectives)) == expected


def test_each_direction_has_its_own_tolerance() -> None:
    tolerance = Tolerance(down_ratio=0.5, up_ratio=0.0)
    assert replicas_of_pods(4, [5_000] * 4, TARGET, tolerance, pending=0, missing=0) == 4
    assert replicas_of_pods(4, [10_001] * 4, TARGET, tolerance, pending=0, missing=0) == 5


def paced(pace: Pace, current: int, *steps: tuple[float, int | None]) -> list[int]:
    followed = []
    for now, recommended in steps:
        current = pace.next(now, current, recommended)
        followed.append(current)
    return followed


@pytest.mark.parametrize(
    ("start", "steps", "expected"),
    [
        # Within 15 s up to twice or by 4, whichever is more; down at once to the highest of 300 s.
        pytest.param(1, [(0, 50), (15, 50), (30, 50), (45, 50)], [5, 10, 20, 40], id="by 4, then twice"),
        pytest.param(4, [(0, 8), (5, 20), (14, 20), (15, 20)], [8, 8, 8, 16], id="a period counts what came within it"),
        pytest.param(8, [(0, 3), (299, 3), (300, 3)], [8, 8, 3], id="the first count is a recommendation, too"),
        pytest.param(8, [(0, 7), (15, 3), (300, 3), (315, 3)], [8, 8, 3, 3], id="a window has one end: 7 is as old"),
        pytest.param(8, [(0, 8), (60, 6), (300, 3)], [8, 8, 6], id="down to the highest of the window"),
        pytest.param(8, [(0, 8), (60, 12), (120, 9)], [8, 12, 12], id="the window does not bring back what was higher"),
        pytest.param(8, [(0, 0), (300, 0)], [8, 1], id="never below one"),
        pytest.param(8, [(0, None), (300, None)], [8, 8], id="no recommendation, no change"),
    ],
)  # fmt: skip
def test_the_default_rules_pace(start: int, steps: list[tuple[float, int]], expected: list[int]) -> None:
    assert paced(pace_of(0.0, 300.0), start, *steps) == expected


@pytest.mark.parametrize(
    ("start", "steps", "expected"),
    [
        pytest.param(1, [(0, 50), (15, 50), (30, 50)], [4, 8, 16], id="to 4, then twice, at each look"),
        pytest.param(8, [(0, 3), (300, 3), (300.5, 3)], [8, 8, 3], id="the end of the window still counts"),
        pytest.param(2, [(0, 9), (15, 3)], [4, 8], id="goes on to the highest of the window"),
        pytest.param(8, [(0, 0), (301, 0)], [8, 1], id="never below one"),
    ],
)
def test_without_a_behavior_it_paces(start: int, steps: list[tuple[float, int]], expected: list[int]) -> None:
    assert paced(pace_of(None, 300.0), start, *steps) == expected


def test_going_up_waits_for_the_lowest_of_its_window() -> None:
    steps = [(0.0, 4), (15.0, 4), (30.0, 6), (45.0, 6)]
    assert paced(pace_of(30.0, 300.0), 2, *steps) == [2, 2, 4, 6]


def test_what_went_within_a_period_may_come_back_within_it() -> None:
    one_a_minute = (Policy("Pods", 1, 60.0),)
    pace = BehaviorPace(Behavior(up=Rules(0.0, one_a_minute), down=Rules(0.0, one_a_minute)))
    # 5 -> 4; the period began with 5, so up to 6 is allowed, and down to 4.
    assert paced(pace, 5, (0.0, 1), (15.0, 1), (30.0, 9), (45.0, 9), (60.0, 9)) == [4, 4, 6, 6, 6]


@pytest.mark.parametrize(
    ("select", "current", "recommended", "expected"),
    [
        # 10 per cent or 2 pods a minute.
        ("Max", 40, 100, 44), ("Max", 10, 100, 12), ("Max", 40, 1, 36), ("Max", 10, 1, 8),
        ("Min", 40, 100, 42), ("Min", 10, 100, 11), ("Min", 40, 1, 38), ("Min", 10, 1, 9),
        ("Disabled", 40, 100, 40), ("Disabled", 40, 1, 40),
    ],
)  # fmt: skip
def test_of_several_policies_one_counts(
    select: Literal["Max", "Min", "Disabled"], current: int, recommended: int, expected: int
) -> None:
    rules = Rules(0.0, (Policy("Percent", 10, 60.0), Policy("Pods", 2, 60.0)), select)
    assert paced(BehaviorPace(Behavior(rules, rules)), current, (0.0, recommended)) == [expected]


@pytest.mark.parametrize("pace", [PlainPace(300.0, Bounds(2, 5)), BehaviorPace(DEFAULT_RULES, Bounds(2, 5))])
def test_bounds_hold_at_once_and_whatever_is_recommended(pace: Pace) -> None:
    assert paced(pace, 1, (0.0, None), (15.0, 9), (30.0, 9), (900.0, 0))[-2:] == [5, 2]
    assert pace.next(900.0, 1, 9) == 2
    assert pace.next(915.0, 9, 9) == 5


def test_what_was_turned_off_stays_off() -> None:
    assert pace_of(0.0, 300.0).next(0.0, 0, 5) == 0


def test_requests_that_wait_and_run_in_ready_pods_are_the_metric() -> None:
    # 0.5 of 40 requests is the target; 30 in each of two pods is 1.5 of it: ceil(3).
    hpa = Hpa(Settings(target_ratio=0.5), PROFILE)
    assert hpa.wants(view(pod(25, 5), pod(20, 10))) == 3


def test_the_kv_cache_may_be_the_metric() -> None:
    hpa = Hpa(Settings(metric="kv_ratio", target_ratio=0.5), PROFILE)
    assert hpa.wants(view(pod(kv_ratio=0.9), pod(kv_ratio=0.9))) == 4  # ceil(1.8 x 2)


def test_a_starting_pod_damps_and_does_not_count_as_load() -> None:
    hpa = Hpa(Settings(target_ratio=0.5), PROFILE)
    assert hpa.wants(view(pod(40), STARTING)) == 2  # 2 -> 40 / 2 / 20 = 1


def test_a_starting_pod_is_on_target_while_load_is_low() -> None:
    hpa = Hpa(Settings(target_ratio=0.5, down_stabilization_seconds=0.0), PROFILE)
    hpa.wants(view(pod(), STARTING, STARTING))
    # 0 -> (0 + 20 + 20) / 3 / 20 = 0.67: ceil(2)
    assert hpa.wants(view(pod(), STARTING, STARTING, now=15.0)) == 2


def test_without_a_ready_pod_it_stays() -> None:
    assert Hpa(Settings(), PROFILE).wants(view(STARTING, STARTING, wanted=2, gateway_waiting=500)) == 2


def test_going_down_waits_through_its_window() -> None:
    hpa = Hpa(Settings(target_ratio=0.5, up_stabilization_seconds=0.0, down_stabilization_seconds=60.0), PROFILE)
    busy, idle = [pod(20)] * 4, [pod(1)] * 4
    wants = [hpa.wants(view(*busy, now=0.0))] + [hpa.wants(view(*idle, now=now)) for now in (15.0, 59.0, 60.0)]
    assert wants == [4, 4, 4, 1]
