"""llm-d's SLO-aware KEDA: a control law of latency over its objectives."""

from __future__ import annotations

import dataclasses

import pytest
from harness.rival_views import PROFILE, STARTING, pod, traffic, view

from bench.scaling.rival import Traffic
from bench.scaling.rivals.llmd_keda_slo import LlmdKedaSlo, Settings, replicas_of


@pytest.mark.parametrize(
    ("saturation", "replicas", "ready", "expected"),
    [
        # Up: n + ceil(n (s c / 0.55 - 1)); down: n - floor(n (1 - s / 0.4)).
        pytest.param(0.55, 4, 4, 4, id="at the upper threshold"),
        pytest.param(0.56, 4, 4, 5, id="ceil(4 x 0.018)"),
        pytest.param(1.1, 4, 4, 8, id="ceil(4 x 1)"),
        pytest.param(2.0, 3, 3, 11, id="ceil(3 x 2.636)"),
        pytest.param(1.1, 8, 4, 8, id="half of them start: 1.1 x 0.5 / 0.55 = 1"),
        pytest.param(1.65, 8, 4, 12, id="half of them start: ceil(8 x 0.5)"),
        pytest.param(0.6, 8, 2, 8, id="a credit takes nothing away"),
        pytest.param(1.1, 4, 0, 8, id="no credit where none is ready"),
        pytest.param(1.1, 4, 5, 8, id="no credit where more are ready"),
        pytest.param(0.45, 4, 4, 4, id="between the thresholds"),
        pytest.param(0.40, 4, 4, 4, id="at the lower threshold"),
        pytest.param(0.3, 4, 4, 3, id="floor(4 x 0.25)"),
        pytest.param(0.3, 3, 3, 3, id="floor(3 x 0.25) is none"),
        pytest.param(0.2, 5, 2, 3, id="floor(5 x 0.5), without credit"),
        pytest.param(0.0, 4, 4, 0, id="nothing was answered: none"),
    ],
)
def test_the_control_law(saturation: float, replicas: int, ready: int, expected: int) -> None:
    assert replicas_of(saturation, replicas, ready, Settings()) == expected


AT_ONCE = Settings(up_stabilization_seconds=0.0)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # Objectives of 1 s and 50 ms. The tenth of eleven values is the 90th percentile.
        pytest.param(traffic(ttft_seconds=[0.0] * 9 + [1.1, 9.0], tpot_seconds=[0.01]), 8, id="1.1 / 1: first token"),
        pytest.param(traffic(ttft_seconds=[0.1], tpot_seconds=[0.055]), 8, id="0.055 / 0.05: each token"),
        pytest.param(traffic(ttft_seconds=[0.5], tpot_seconds=[0.025]), 4, id="half of both: between the thresholds"),
        pytest.param(traffic(ttft_seconds=[90.0], tpot_seconds=[0.01]), 8, id="bounded to 2; by 4 at a time"),
    ],
)  # fmt: skip
def test_the_worse_of_both_latencies_counts(seen: Traffic, expected: int) -> None:
    assert LlmdKedaSlo(AT_ONCE, PROFILE).wants(view(*[pod()] * 4, seen=seen)) == expected


@pytest.mark.parametrize(("ttft_seconds", "expected"), [(2.2, 8), (1.1, 4)])
def test_a_latency_counts_beside_its_own_objective(ttft_seconds: float, expected: int) -> None:
    patient = dataclasses.replace(PROFILE, objectives=dataclasses.replace(PROFILE.objectives, ttft_seconds=2.0))
    seen = traffic(ttft_seconds=[ttft_seconds])
    assert LlmdKedaSlo(AT_ONCE, patient).wants(view(*[pod()] * 4, seen=seen)) == expected


def test_one_spike_is_bounded_and_smoothed() -> None:
    slo = LlmdKedaSlo(AT_ONCE, PROFILE)
    calm, spike = traffic(ttft_seconds=[0.5]), traffic(ttft_seconds=[90.0])
    fleet = [pod()] * 20
    wants = [slo.wants(view(*fleet, seen=seen, now=15.0 * tick)) for tick, seen in enumerate([calm, calm, spike])]
    # (0.5 + 0.5 + 2) / 3 = 1: 20 + ceil(20 x 0.818).
    assert wants == [20, 20, 37]


def test_going_up_waits_for_half_a_minute() -> None:
    slo = LlmdKedaSlo(Settings(), PROFILE)
    late = traffic(ttft_seconds=[1.1])
    assert [slo.wants(view(*[pod()] * 4, seen=late, now=15.0 * tick)) for tick in range(3)] == [4, 4, 8]


def test_going_up_is_at_most_twice_within_a_minute() -> None:
    slo = LlmdKedaSlo(AT_ONCE, PROFILE)
    late = traffic(ttft_seconds=[9.0])
    assert slo.wants(view(*[pod()] * 6, seen=late, now=0.0)) == 12
    assert slo.wants(view(*[pod()] * 12, seen=late, now=45.0)) == 12
    assert slo.wants(view(*[pod()] * 12, seen=late, now=60.0)) == 24


def test_going_down_is_one_in_two_minutes_after_three() -> None:
    slo = LlmdKedaSlo(Settings(), PROFILE)
    replicas, followed = 4, []
    for tick in range(25):
        replicas = slo.wants(view(*[pod()] * replicas, now=15.0 * tick))
        followed.append(replicas)
    # The window forgets the first count at 180 s; then 120 s between two.
    assert followed == [4] * 12 + [3] * 8 + [2] * 5


def test_starting_pods_are_credited() -> None:
    slo = LlmdKedaSlo(AT_ONCE, PROFILE)
    assert slo.wants(view(pod(), STARTING, seen=traffic(ttft_seconds=[1.1]))) == 2
