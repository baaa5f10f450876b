"""NVIDIA Dynamo's planner: a slow loop that predicts, and a fast one that looks at queues."""

from __future__ import annotations

import dataclasses

import pytest
from harness.rival_views import PROFILE, STARTING, pod, traffic, view

from bench.kalman import LocalTrend
from bench.scaling.rival import PodView
from bench.scaling.rivals.dynamo import Dynamo, Settings
from bench.scaling.rivals.dynamo_load import Estimates, Limits, growth_of, replicas_of_load
from bench.scaling.rivals.dynamo_throughput import Predictor, least_replicas

CONSTANT = Settings(predictor="constant")
FEW = traffic(finished_rps=1.0)
"""Prompts and answers of 500 tokens."""


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
        pytest.param([pod(10, 6), pod(10, 6)], 2, id="0.01 + 0.001 x 33 = 0.043 s of 0.04, once those run that wait"),
        pytest.param([pod(2, 8), pod(2, 8)], 2, id="16 x 500 = 0.8 s of queue, of (1 - 0.064) x 0.8 = 0.749"),
        pytest.param([pod(5, kv_tokens=49_999.0)] * 2, 1, id="99 998 tokens fit"),
        pytest.param([pod(5, kv_tokens=50_000.0)] * 2, 2, id="100 000 tokens do not"),
        pytest.param([pod(5, 1, kv_tokens=49_500.0)] * 2, 2, id="nor with the prompt that waits"),
        pytest.param([pod(20)] * 4, 3, id="4 / 3 of 20 is 26.7: 0.0377 s"),
    ],
)  # fmt: skip
def test_the_fast_loop(workers: list[PodView], expected: int) -> None:
    assert Dynamo(CONSTANT, PROFILE).wants(view(*workers, seen=FEW)) == expected


IDLE = Estimates(0.1, 0.01, 0.1, 0.1, 0.01, 0.0)
LATE = dataclasses.replace(IDLE, ttft_seconds=1.1, fewer_ttft_seconds=2.2)
SLOW = dataclasses.replace(IDLE, tpot_seconds=0.06, fewer_tpot_seconds=0.07)
BUSY = dataclasses.replace(IDLE, fewer_tpot_seconds=0.041)
LIMITS = Limits(ttft_seconds=1.0, tpot_seconds=0.05, kv_tokens=1000.0, down_ratio=0.8)


@pytest.mark.parametrize(
    ("workers", "starting", "least", "expected"),
    [
        pytest.param([IDLE] * 3, 0, 1, 2, id="all could take more: one fewer"),
        pytest.param([IDLE] * 3, 0, 3, None, id="the slow loop needs them"),
        pytest.param([IDLE] * 3, 0, 5, 5, id="the slow loop needs more"),
        pytest.param([IDLE], 0, 1, None, id="the last one stays"),
        pytest.param([IDLE, BUSY], 0, 1, None, id="one of them could not"),
        pytest.param([LATE, IDLE], 0, 1, None, id="one is late"),
        pytest.param([LATE, LATE], 0, 1, 3, id="all are late: one more"),
        pytest.param([LATE, LATE], 0, 8, 8, id="or what the slow loop needs"),
        pytest.param([SLOW], 0, 1, 2, id="all are slow: one more"),
        pytest.param([LATE, SLOW], 0, 1, None, id="one is late and one is slow: not all of either"),
        pytest.param([LATE], 2, 1, None, id="nothing is added while two start"),
        pytest.param([IDLE], 2, 1, 1, id="those that start are called off"),
        pytest.param([IDLE, IDLE], 1, 1, 1, id="and one more where it can go"),
        pytest.param([IDLE, IDLE], 1, 2, 2, id="as far as the slow loop allows"),
        pytest.param([IDLE, IDLE], 1, 3, None, id="they are needed"),
        pytest.param([IDLE, BUSY], 1, 1, None, id="they may be needed"),
    ],
)
def test_the_fast_loop_decides(workers: list[Estimates], starting: int, least: int, expected: int | None) -> None:
    assert replicas_of_load(workers, starting, LIMITS, least) == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        # 0.8 of (1 - 0.1) is 0.72 of queue: 0.82 in all. 0.8 of 0.05 is 0.04.
        ({"fewer_ttft_seconds": 0.81}, True), ({"fewer_ttft_seconds": 0.83}, False),
        ({"alone_seconds": 1.0, "fewer_ttft_seconds": 1.0}, False),
        ({"fewer_tpot_seconds": 0.039}, True), ({"fewer_tpot_seconds": 0.05 * 0.8}, False),
        ({"fewer_kv_tokens": 999.0}, True), ({"fewer_kv_tokens": 1000.0}, False),
    ],
)  # fmt: skip
def test_a_worker_takes_its_share_of_another(changed: dict[str, float], expected: bool) -> None:
    worker = dataclasses.replace(IDLE, **changed)
    assert (worker.keeps_ttft(LIMITS) and worker.keeps_tpot(LIMITS)) is expected


@pytest.mark.parametrize(("workers", "expected"), [(1, 1.0), (2, 2.0), (5, 1.25)])
def test_the_load_of_one_is_shared_by_the_rest(workers: int, expected: float) -> None:
    assert growth_of(workers) == expected


@pytest.mark.parametrize(
    ("demand_rps", "carried_rps", "ready", "expected"),
    [
        # ceil(demand / carried), at most eight away from what is ready.
        (4.0, 2.0, 2, 2), (4.1, 2.0, 2, 3), (0.0, 2.0, 2, 1), (100.0, 2.0, 2, 10), (2.0, 2.0, 20, 12),
        (2.0, 2.0, 5, 1), (36.0, 2.0, 10, 18), (38.0, 2.0, 10, 18), (4.0, 2.0, 10, 2), (50.0, 0.0, 6, 6),
    ],
)  # fmt: skip
def test_the_slow_loop_needs(demand_rps: float, carried_rps: float, ready: int, expected: int) -> None:
    assert least_replicas(demand_rps, carried_rps, ready) == expected


def test_the_slow_loop_sets_the_least_for_the_fast_one() -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    busy = traffic(finished_rps=7.0)
    # 7 / 2 requests per second, from the end of the first interval on.
    assert [planner.wants(view(pod(), seen=busy, now=now)) for now in (0.0, 175.0, 180.0)] == [1, 1, 4]
    idle = [planner.wants(view(*[pod()] * 4, seen=traffic(), now=now)) for now in (185.0, 355.0, 360.0)]
    assert idle == [4, 4, 3]


def test_while_workers_start_it_adds_none_and_may_call_them_off() -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    assert planner.wants(view(pod(60, 50), STARTING, seen=FEW)) == 2
    assert planner.wants(view(pod(), STARTING, seen=FEW, now=5.0)) == 1


def test_while_workers_go_or_none_is_ready_it_only_looks() -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    assert planner.wants(view(pod(60, 50), pod(60, 50), wanted=1, seen=FEW)) == 1
    assert planner.wants(view(STARTING, wanted=3, now=5.0)) == 3


def test_tighter_objectives_act_earlier_in_both_loops() -> None:
    tight = Settings(predictor="constant", objective_ratio=0.5)
    assert Dynamo(tight, PROFILE).wants(view(pod(15), seen=FEW)) == 2  # 0.026 s of 0.025
    assert Dynamo(tight, PROFILE).wants(view(pod(14), seen=FEW)) == 1
    planner = Dynamo(tight, PROFILE)
    planner.wants(view(pod(), now=0.0))
    assert planner.wants(view(pod(), now=180.0, seen=traffic(finished_rps=7.0))) == 7


def test_an_objective_is_tightened_by_its_ratio() -> None:
    patient = dataclasses.replace(PROFILE, objectives=dataclasses.replace(PROFILE.objectives, ttft_seconds=2.0))
    half = Settings(predictor="constant", objective_ratio=0.5)
    assert Dynamo(half, patient).wants(view(pod(10, 18), seen=FEW)) == 1  # 0.97 s of 1
    assert Dynamo(half, patient).wants(view(pod(10, 19), seen=FEW)) == 2  # 1.02 s


def test_a_prompt_waits_for_the_steps_of_all_that_run_with_one_worker_fewer() -> None:
    # Nothing but steps takes time: 30 x 0.03 = 0.9 s with one worker fewer, none of it in a queue.
    steps = dataclasses.replace(
        PROFILE,
        objectives=dataclasses.replace(PROFILE.objectives, tpot_seconds=10.0),
        ttft_of_tokens=lambda _tokens: 0.0,
        tpot_of_running=lambda running: 0.03 * running,
    )
    assert Dynamo(CONSTANT, steps).wants(view(pod(15), pod(15), seen=FEW)) == 1


@pytest.mark.parametrize(("prompt_tokens", "output_tokens"), [(0.0, 500.0), (500.0, 0.0)])
def test_requests_without_tokens_keep_what_is_ready(prompt_tokens: float, output_tokens: float) -> None:
    planner = Dynamo(CONSTANT, PROFILE)
    seen = traffic(finished_rps=30.0, prompt_tokens=prompt_tokens, output_tokens=output_tokens)
    planner.wants(view(pod(), pod(), now=0.0, seen=traffic()))
    assert planner.wants(view(pod(), pod(), now=180.0, seen=seen)) == 2


def test_the_filter_predicts_a_rise_once_it_knows_five_intervals() -> None:
    predictor = Predictor("kalman", logarithmic=False)
    rise = [predictor.next(100.0 + 10.0 * place) for place in range(30)]
    assert rise[:4] == [100.0, 110.0, 120.0, 130.0]
    assert rise[-1] == pytest.approx(400.0, abs=1.0)


def test_a_fall_ends_at_zero() -> None:
    predictor = Predictor("kalman", logarithmic=False)
    assert [predictor.next(value) for value in (100.0, 70.0, 40.0, 10.0, 0.0, 0.0)][-1] == 0.0


def test_logarithms_predict_growth_by_a_factor() -> None:
    predictor = Predictor("kalman", logarithmic=True, trend=LocalTrend(1.0, 0.1, 1e-6))
    grown = [predictor.next(100.0 * 2.0**place) for place in range(12)]
    assert grown[-1] == pytest.approx(100.0 * 2.0**12, rel=0.01)


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
