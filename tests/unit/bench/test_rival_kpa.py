"""Knative's KPA: two windows, panic, and a delay on the way down."""

from __future__ import annotations

import pytest
from harness.rival_views import PROFILE, STARTING, pod, view

from bench.scaling.rivals.kpa import Decider, Kpa, Settings


@pytest.mark.parametrize(
    ("ready", "stable", "panic", "expected"),
    [
        # Target 10. One pod does not start in panic.
        pytest.param(1, 15, 15, 2, id="ceil(1.5); 2 / 1 pods panics, and asks for the same"),
        pytest.param(1, 5, 5, 1, id="ceil(0.5)"),
        pytest.param(1, 0, 0, 0, id="nothing: floor(1 / 2) allows none"),
        pytest.param(0, 45, 45, 5, id="no pod counts as one"),
        pytest.param(1, 10, 200, 20, id="panic: the short window counts"),
        pytest.param(1, 200, 10, 20, id="calm: the long one counts"),
        pytest.param(1, 20_000, 20_000, 1000, id="at most a thousand times the pods"),
        # More pods start in panic, and keep what they have.
        pytest.param(4, 10, 10, 4, id="starts in panic: stays at 4"),
        pytest.param(4, 10, 60, 6, id="starts in panic: ceil(6)"),
        pytest.param(4, 90, 60, 9, id="in panic the larger of both counts"),
    ],
)
def test_the_first_decision(ready: int, stable: float, panic: float, expected: int) -> None:
    assert Decider(Settings(), 10.0, 0.0, ready).decide(0.0, ready, stable, panic) == expected


Step = tuple[float, int, float, float]
"""Time, ready pods, mean concurrency of the long and of the short window."""


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param(
            [(0, 4, 40, 40), (60, 4, 10, 10), (60.1, 4, 10, 10)],
            [4, 4, 2],
            id="calms down a stable window after the start, and then goes down by half",
        ),
        pytest.param(
            [(0, 1, 10, 10), (2, 1, 10, 30), (4, 1, 10, 10), (62, 1, 10, 10), (64, 1, 10, 10)],
            [1, 3, 3, 3, 1],
            id="panic never goes down",
        ),
        pytest.param(
            [(0, 1, 10, 30), (50, 1, 10, 20), (109, 3, 10, 10), (110, 3, 10, 10), (111, 3, 10, 10)],
            [3, 3, 3, 3, 1],
            id="each time at the threshold renews the panic",
        ),
        pytest.param([(0, 1, 30, 19), (2, 1, 30, 20)], [3, 3], id="under twice the pods is no panic"),
    ],
)
def test_panic_holds_and_ends(steps: list[Step], expected: list[int]) -> None:
    decider = Decider(Settings(), 10.0, 0.0, steps[0][1])
    assert [decider.decide(*step) for step in steps] == expected


def test_going_down_is_delayed_by_the_highest_of_the_window() -> None:
    decider = Decider(Settings(down_delay_seconds=30.0), 10.0, 0.0, 1)
    decided = [decider.decide(now, 1, load, load) for now, load in ((0.0, 15.0), (2.0, 5.0), (29.0, 5.0))]
    assert decided == [2, 2, 2]
    assert Decider(Settings(down_delay_seconds=30.0), 10.0, 0.0, 1).decide(0.0, 1, 5.0, 5.0) == 1


def test_the_delay_ends() -> None:
    decider = Decider(Settings(down_delay_seconds=30.0), 10.0, 0.0, 1)
    loads = {0.0: 15.0, 29.0: 5.0, 62.0: 5.0}
    assert [decider.decide(now, 1, load, load) for now, load in loads.items()] == [2, 2, 1]


def test_the_total_is_of_the_gateway_and_all_ready_pods() -> None:
    # 0.7 x 40 = 28 a pod; 20 + 40 + 60 = 120: ceil(4.28).
    kpa = Kpa(Settings(), PROFILE)
    assert kpa.wants(view(pod(30, 10), pod(50, 10), STARTING, gateway_waiting=20)) == 5


def test_the_means_are_over_their_windows() -> None:
    kpa = Kpa(Settings(), PROFILE)
    for step in range(30):
        kpa.wants(view(pod(28), now=2.0 * step))
    # The long window has 29 of 28 and one of 300 (mean 37): 2. The short one 28, 28 and 300 (mean 118.7): ceil(4.24).
    assert kpa.wants(view(pod(300), now=60.0)) == 5


def test_an_idle_fleet_keeps_one() -> None:
    assert Kpa(Settings(), PROFILE).wants(view(pod())) == 1
