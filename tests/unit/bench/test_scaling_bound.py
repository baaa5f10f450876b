"""The lower bound of the scaling bench: nobody who keeps the objectives is cheaper, and it is not far below."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scaling.cases import Part
from bench.scaling.contenders import fixed
from bench.scaling.contest import result
from bench.scaling.lower_bound import lower_bound, work_seconds
from bench.scaling.play import Stage, with_lead_in
from bench.scaling.profiles import OBJECTIVES, ONE_H200
from bench.scaling.rival import Objectives
from trimtab_replay.fleet import FleetPlan
from trimtab_replay.serving import ServingModel
from trimtab_replay.trace import Trace

EASY = ServingModel(step_seconds=0.02, sequence_seconds=0.001, prompt_token_seconds=0.0)
WITHIN = Objectives(ttft_seconds=1.0, tpot_seconds=0.05, share=1.0)


def trace(rate: float, seconds: float, prompt: int = 1000, output: int = 200, seed: int = 0) -> Trace:
    count = int(rate * seconds)
    arrived = np.sort(np.random.default_rng(seed).uniform(0.0, seconds, count))
    return Trace(arrived, np.full(count, float(prompt)), np.full(count, float(output)))


def test_a_request_takes_its_own_part_of_a_step_and_as_little_of_the_rest_as_its_objectives_allow() -> None:
    (work,) = work_seconds(Trace(np.zeros(1), np.ones(1), np.array([101.0])), EASY, WITHIN)
    mean_step = (1.0 + 0.05 * 100.0) / 100.0
    assert work == pytest.approx(100.0 * (0.001 + 0.02 * 0.001 / (mean_step - 0.02)))


def test_where_the_cache_binds_a_step_is_shared_by_tokens() -> None:
    small = ServingModel(0.02, 0.001, 0.0, kv_tokens=4.0 * 1200)
    work = work_seconds(trace(1.0, 10.0), small, WITHIN)
    assert work == pytest.approx(np.full(10, 199.0 * (0.001 + 0.02 / 4.0)))


def test_a_steady_load_needs_its_work_and_a_step_up_costs_the_start() -> None:
    steady = trace(2.0, 1800.0)
    flow = work_seconds(steady, ONE_H200, OBJECTIVES).sum()
    assert lower_bound(steady, ONE_H200, OBJECTIVES, 60.0).replica_seconds == pytest.approx(0.99 * flow, rel=0.02)
    low, high = trace(1.0, 900.0), trace(4.0, 900.0)
    step = Trace(*(np.concatenate(both) for both in (
        (low.arrived, 900.0 + high.arrived),
        (low.prompt_tokens, high.prompt_tokens),
        (low.output_tokens, high.output_tokens),
    )))  # fmt: skip
    quick, slow = (lower_bound(step, ONE_H200, OBJECTIVES, seconds).replica_seconds for seconds in (0.0, 300.0))
    assert slow > quick + 250.0


@settings(max_examples=12, deadline=None)
@given(st.floats(0.5, 6.0), st.integers(50, 3000), st.integers(2, 400), st.integers(0, 5))
def test_whoever_keeps_the_objectives_is_not_cheaper(rate: float, prompt: int, output: int, seed: int) -> None:
    asked = trace(rate, 1200.0, prompt, output, seed)
    bound = lower_bound(asked, ONE_H200, OBJECTIVES, 60.0).replica_seconds / 3600.0
    part = Part(Stage(with_lead_in(asked), FleetPlan(ONE_H200, 60.0), seed), bound)
    reached = [found for count in range(1, 9) if (found := result((part,), fixed(count))).outcome.reached]
    assert not any(each.impossible for each in reached)
