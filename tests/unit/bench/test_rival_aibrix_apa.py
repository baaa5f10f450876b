"""AIBrix's APA: a multiplier of the replicas, and a window that is upside down until it is mended."""

from __future__ import annotations

import pytest
from harness.rival_views import PROFILE, STARTING, pod, view

from bench.scaling.rivals.aibrix_apa import AibrixApa, Settings, of_all_pods, recommended


@pytest.mark.parametrize(
    ("current", "ratio", "expected"),
    [
        # Beyond a tenth: ceil(replicas x ratio), at most twice and at least half.
        pytest.param(4, 1.0, 4, id="on target"),
        pytest.param(4, 1.1, 4, id="a tenth over is tolerated"),
        pytest.param(4, 1.11, 5, id="ceil(4.44)"),
        pytest.param(4, 1.5, 6, id="ceil(6)"),
        pytest.param(4, 5.0, 8, id="at most twice"),
        pytest.param(1, 1.2, 2, id="ceil(1.2)"),
        pytest.param(4, 0.9, 4, id="a tenth below is tolerated"),
        pytest.param(4, 0.89, 4, id="ceil(3.56) is all of them"),
        pytest.param(10, 0.9, 10, id="a tenth below is tolerated, though 9 would do"),
        pytest.param(20, 0.95, 20, id="so is less, though 19 would do"),
        pytest.param(10, 0.75, 8, id="ceil(7.5)"),
        pytest.param(10, 0.1, 5, id="at least half"),
        pytest.param(5, 0.0, 2, id="half of five, rounded down"),
        pytest.param(1, 0.0, 1, id="never below one"),
    ],
)
def test_it_recommends(current: int, ratio: float, expected: int) -> None:
    assert recommended(current, ratio, Settings()) == expected


def wanted(apa: AibrixApa, replicas: int, *kv_ratios: tuple[float, float]) -> list[int]:
    """Follow what it wants with every pod at these shares of its cache at these times."""
    followed = []
    for now, kv_ratio in kv_ratios:
        replicas = apa.wants(view(*[pod(kv_ratio=kv_ratio)] * replicas, now=now))
        followed.append(replicas)
    return followed


QUICK = Settings(window_seconds=0.0)
"""It decides on the last mean; half of the cache is the target."""


def test_as_published_it_goes_down_to_the_lowest_of_its_window() -> None:
    # ceil(4 x 0.6) = 3; stays; ceil(3 x 2) = 6; stays. There ceil(6 x 0.8) = 5 would do, but 3 was asked for of late.
    course = [(0.0, 0.3), (10.0, 0.5), (20.0, 1.0), (30.0, 0.5), (40.0, 0.4)]
    assert wanted(AibrixApa(QUICK, PROFILE, mended=False), 4, *course) == [3, 3, 6, 6, 3]


def test_mended_it_goes_down_to_the_highest_of_its_window() -> None:
    course = [(0.0, 0.5), (10.0, 0.3), (299.0, 0.3), (300.0, 0.3), (310.0, 0.1)]
    assert wanted(AibrixApa(QUICK, PROFILE, mended=True), 4, *course) == [4, 4, 4, 3, 3]


def test_the_cooldown_forgets() -> None:
    # 3 is 300 s old when ceil(6 x 0.8) = 5 comes.
    course = [(0.0, 0.3), (10.0, 0.5), (20.0, 1.0), (310.0, 0.4)]
    assert wanted(AibrixApa(QUICK, PROFILE, mended=False), 4, *course) == [3, 3, 6, 5]


def test_the_metric_is_the_mean_over_pods_and_then_over_the_window() -> None:
    apa = AibrixApa(Settings(), PROFILE, mended=False)
    assert apa.wants(view(pod(kv_ratio=0.2), pod(kv_ratio=0.8), now=0.0)) == 2
    # (0.5 + 1.0) / 2 = 0.75 is 1.5 times the target: ceil(3).
    assert apa.wants(view(pod(kv_ratio=1.0), pod(kv_ratio=1.0), now=180.0)) == 3
    # The 0.5 is older than the window: ceil(2 x 2).
    assert apa.wants(view(pod(kv_ratio=1.0), pod(kv_ratio=1.0), now=181.0)) == 4


def test_requests_may_be_the_metric() -> None:
    # Half of 40 is the target; a mean of 30 is 1.5 times that: ceil(3).
    apa = AibrixApa(Settings(metric="requests"), PROFILE, mended=False)
    assert apa.wants(view(pod(20, 20), pod(20))) == 3


def test_as_published_pods_that_start_are_multiplied_again() -> None:
    apa = AibrixApa(QUICK, PROFILE, mended=False)
    fleet = [pod(kv_ratio=1.0), pod(kv_ratio=1.0)]
    assert apa.wants(view(*fleet)) == 4
    assert apa.wants(view(*fleet, STARTING, STARTING, now=10.0)) == 8


def test_mended_they_count_as_idle() -> None:
    apa = AibrixApa(QUICK, PROFILE, mended=True)
    fleet = [pod(kv_ratio=1.0), pod(kv_ratio=1.0)]
    assert apa.wants(view(*fleet)) == 4
    assert apa.wants(view(*fleet, STARTING, STARTING, now=10.0)) == 4


@pytest.mark.parametrize(
    ("ratio", "ready", "current", "expected"),
    [
        (2.0, 2, 4, 1.0),  # 2 x 2 / 4
        (3.0, 2, 4, 1.5),  # 3 x 2 / 4
        (1.05, 2, 4, 1.0),  # 0.525 would, too
        (1.5, 2, 4, 1.0),  # 0.75 would turn the direction
        (0.5, 2, 4, 0.75),  # (0.5 x 2 + 2) / 4
        (0.5, 4, 4, 0.5),
        (0.5, 5, 4, 0.5),  # a pod more than are asked for does not start
    ],
)
def test_mended_the_ratio_is_of_all_pods(ratio: float, ready: int, current: int, expected: float) -> None:
    assert of_all_pods(ratio, ready, current) == expected


def test_without_a_ready_pod_it_stays() -> None:
    assert AibrixApa(Settings(), PROFILE, mended=True).wants(view(STARTING, wanted=3)) == 3
