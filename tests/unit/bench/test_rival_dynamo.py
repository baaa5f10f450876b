"""NVIDIA Dynamo's planner: a slow loop that predicts, and a fast one that looks at queues."""

from __future__ import annotations

import dataclasses

import pytest
from harness.rival_views import PROFILE, STARTING, pod, traffic, view

from bench.kalman import LocalTrend
from bench.scaling.rival import PodView
from bench.scaling.rivals.dynamo import Dynamo, Load, Settings, least_replicas

PROMPT_TOKENS = 500.0


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        # A first token takes (queue + 500) / 10 000 + 0.01 + 0.001 running seconds, of 1;
        # a next one 0.01 + 0.001 (running + 1), of 0.05.
        pytest.param([pod(10)], 1, id="0.07 s and 0.021 s; the last one stays"),
        pytest.param([pod(10, 19)], 2, id="(9 500 + 500) / 10 000 + 0.02 = 1.02 s"),
        pytest.param([pod(10, 18)], 1, id="0.97 s"),
        pytest.param([pod(10, 19), pod(10, 18)], 2, id="one of two is late: no change"),
        pytest.param([pod(10, 19), pod(10, 19)], 3, id="both are late"),
        pytest.param([pod(40)], 2, id="0.051 s a token with one more"),
        pytest.param([pod(39)], 1, id="0.050 s a token with one more"),
        pytest.param([pod(40), pod(39)], 2, id="one of two is slow: no change"),
        # Down: a rest with 2 / 1 of the load, under 0.8 of what it may.
        pytest.param([pod(14), pod(14)], 1, id="0.01 + 0.001 x 29 = 0.039 s of 0.04"),
        pytest.param([pod(15), pod(15)], 2, id="0.01 + 0.001 x 31 = 0.041 s of 0.04"),
        pytest.param([pod(14), pod(15)], 2, id="each of them must be able"),
        pytest.param([pod(5, 6), pod(5, 6)], 1, id="12 x 500: 0.6 s of queue, of (1 - 0.07) x 0.8 = 0.744"),
        pytest.param([pod(2, 8), pod(2, 8)], 2, id="16 x 500 = 0.8 s of queue, of (1 - 0.064) x 0.8 = 0.749"),
        pytest.param([pod(5, kv_tokens=49_999.0)] * 2, 1, id="99 998 tokens fit"),
        pytest.param([pod(5, kv_tokens=50_000.0)] * 2, 2, id="100 000 tokens do not"),
        pytest.param([pod(5, 1, kv_tokens=49_500.0)] * 2, 2, id="nor with the prompt that waits"),
        pytest.param([pod(20)] * 4, 3, id="4 / 3 of 20 is 26.7: 0.0377 s"),
    ],
)  # fmt: skip
def test_the_fast_loop(workers: list[PodView], expected: int) -> None:
    assert Load(Settings(), PROFILE).replicas(tuple(workers), PROMPT_TOKENS) == expected


def test_where_nothing_fits_even_alone_none_goes() -> None:
    # A prompt of 12 000 tokens takes 1.2 s of 1: all are late.
    assert Load(Settings(), PROFILE).replicas((pod(), pod()), 12_000.0) == 3
    # One of 9 850 takes 0.995 s where none runs, and 1.015 s where 20 do.
    assert Load(Settings(), PROFILE).replicas((pod(10), pod(0)), 9_850.0) == 2


def test_tighter_objectives_act_earlier() -> None:
    assert Load(Settings(objective_ratio=0.5), PROFILE).replicas((pod(15),), PROMPT_TOKENS) == 2


@pytest.mark.parametrize(
    ("demand_rps", "carried_rps", "ready", "expected"),
    [
        # ceil(demand / carried), at most eight away from what is ready.
        (4.0, 2.0, 2, 2),
        (4.1, 2.0, 2, 3),
        (0.0, 2.0, 2, 1),
        (-3.0, 2.0, 2, 1),
        (100.0, 2.0, 2, 10),
        (2.0, 2.0, 20, 12),
        (2.0, 2.0, 5, 1),
        (36.0, 2.0, 10, 18),
        (38.0, 2.0, 10, 18),
        (4.0, 2.0, 10, 2),
    ],
)
def test_the_slow_loop_needs(demand_rps: float, carried_rps: float, ready: int, expected: int) -> None:
    assert least_replicas(demand_rps, carried_rps, ready) == expected


CONSTANT = Settings(predictor="constant")


def test_the_slow_loop_sets_the_least_for_the_fast_one() -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    busy = traffic(finished_rps=7.0)
    wants = [planner.wants(view(pod(), seen=busy, now=now)) for now in (0.0, 175.0, 180.0, 185.0)]
    # 7 / 2 requests per second at 180 s; the fast loop follows at its next look.
    assert wants == [1, 1, 1, 4]


def test_an_interval_without_answers_is_left_out() -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    planner.wants(view(pod(), now=0.0))
    planner.wants(view(pod(), now=180.0, seen=traffic(finished_rps=7.0)))
    planner.wants(view(*[pod()] * 4, now=360.0))
    assert planner.wants(view(*[pod()] * 4, now=365.0)) == 4


@pytest.mark.parametrize("carried_rps", [0.0, -1.0])
def test_requests_that_no_replica_serves_well_leave_the_least(carried_rps: float) -> None:
    hopeless = dataclasses.replace(PROFILE, carries_rps=lambda _prompt_tokens, _output_tokens: carried_rps)
    planner = Dynamo(CONSTANT, hopeless)
    planner.wants(view(pod(), now=0.0))
    planner.wants(view(pod(), now=180.0, seen=traffic(finished_rps=7.0)))
    assert planner.wants(view(pod(), now=185.0)) == 1


@pytest.mark.parametrize(("prompt_tokens", "output_tokens"), [(0.0, 500.0), (500.0, 0.0)])
def test_requests_without_tokens_leave_the_least(prompt_tokens: float, output_tokens: float) -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    seen = traffic(finished_rps=7.0, prompt_tokens=prompt_tokens, output_tokens=output_tokens)
    planner.wants(view(pod(), now=0.0))
    planner.wants(view(pod(), now=180.0, seen=seen))
    assert planner.wants(view(pod(), now=185.0)) == 1


def test_while_a_pod_starts_it_only_looks() -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    assert planner.wants(view(pod(60, 50), STARTING, now=0.0)) == 2
    assert planner.wants(view(pod(60, 50), now=5.0)) == 2


def test_objectives_that_are_tighter_need_more_replicas() -> None:
    planner = Dynamo(Settings(predictor="constant", objective_ratio=0.5), PROFILE)
    planner.wants(view(pod(), now=0.0))
    planner.wants(view(pod(), now=180.0, seen=traffic(finished_rps=7.0)))
    assert planner.wants(view(pod(), now=185.0)) == 7


def test_the_filter_predicts_a_rise() -> None:
    planner = Dynamo(Settings(throughput_seconds=60.0), PROFILE)
    for minute in range(30):
        planner.wants(view(pod(), now=60.0 * minute, seen=traffic(finished_rps=2.0 + 0.1 * minute)))
    # 4.9 was the last, 5 comes next: above 2 x 2.
    assert planner.wants(view(pod(), now=1745.0)) == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # The first value is the level with a variance of 1 000, and the trend 0 with the same.
        # Expected: 1 000 + 1 000 + 1 = 2 001 and 1 000 together; gains 2 001 / 2 011 and 1 000 / 2 011.
        ([100.0], 100.0),
        ([100.0, 100.0], 100.0),
        ([100.0, 110.0], 100.0 + 10.0 * (2001.0 + 1000.0) / 2011.0),
    ],
)
def test_the_filter_expects(values: list[float], expected: float) -> None:
    trend = LocalTrend()
    assert [trend.observe(value) for value in values][-1] == pytest.approx(expected, rel=1e-12)
