"""What gives way when memory runs short: steps by thresholds, gaps against flapping, and the way back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.memory.ladder import (
    CALM_SECONDS,
    CLIMB_SECONDS,
    HYSTERESIS,
    SHED_CALM_SECONDS,
    UP_AT,
    LadderState,
    Step,
    batch_cap,
    next_state,
)
from trimtab_engine.memory.reading import MemoryReading, pressure, tightest

PRESSURES = st.one_of(st.none(), st.floats(-0.5, 2.0), st.just(math.inf))
STATES = st.builds(LadderState, st.sampled_from(Step), st.floats(0, 100), st.one_of(st.none(), st.floats(0, 100)))


@pytest.mark.parametrize(("step", "threshold"), UP_AT.items())
def test_a_step_is_climbed_at_its_threshold_and_not_below(step: Step, threshold: float) -> None:
    before = LadderState(Step(step - 1), changed_at=0.0)
    assert next_state(threshold, before, CLIMB_SECONDS).step is step
    assert next_state(threshold - 0.001, before, CLIMB_SECONDS).step == step - 1


def test_each_step_has_time_to_help_before_the_next() -> None:
    first = next_state(0.92, LadderState(), 10.0)
    assert first.step is Step.NO_CACHE_ADMISSION
    assert next_state(0.92, first, 10.0 + CLIMB_SECONDS / 2).step is Step.NO_CACHE_ADMISSION
    assert next_state(0.92, first, 10.0 + CLIMB_SECONDS).step is Step.EVICT_CACHE


def test_beyond_the_last_threshold_batches_are_small_at_once_and_requests_shed_if_that_does_not_help() -> None:
    first = next_state(0.95, LadderState(), 0.0)
    assert first == LadderState(Step.DROP_SPARES, 0.0)
    assert next_state(0.95, first, CLIMB_SECONDS / 2).step is Step.DROP_SPARES
    assert next_state(0.95, first, CLIMB_SECONDS).step is Step.SHED


def test_requests_are_taken_again_as_soon_as_the_pressure_is_seen_to_be_over() -> None:
    calm = next_state(0.3, LadderState(Step.SHED, 0.0), 10.0)
    assert calm.step is Step.SHED
    assert next_state(0.3, calm, 10.0 + SHED_CALM_SECONDS).step is Step.DROP_SPARES


def test_a_step_is_left_after_a_calm_time_that_noise_begins_anew() -> None:
    low = UP_AT[Step.EVICT_CACHE] - HYSTERESIS
    state = next_state(low, LadderState(Step.EVICT_CACHE, 0.0), 10.0)
    assert state == LadderState(Step.EVICT_CACHE, 0.0, calm_since=10.0)
    noisy = next_state(low + 0.01, state, 12.0)
    assert noisy.calm_since is None
    assert next_state(low, noisy, 13.0).calm_since == 13.0
    assert next_state(low, state, 10.0 + CALM_SECONDS).step is Step.NO_CACHE_ADMISSION


@given(STATES, PRESSURES, PRESSURES, st.floats(100, 200))
def test_more_pressure_never_leads_to_a_lower_step(
    state: LadderState, one: float | None, other: float | None, now: float
) -> None:
    low, high = sorted((one, other), key=lambda value: -math.inf if value is None else value)
    assert next_state(low, state, now).step <= next_state(high, state, now).step


@given(STATES, PRESSURES, st.floats(100, 200))
def test_the_ladder_goes_down_one_step_at_a_time(state: LadderState, found: float | None, now: float) -> None:
    assert next_state(found, state, now).step >= state.step - 1


@given(st.sampled_from(list(UP_AT)), st.lists(st.floats(0.01, HYSTERESIS - 0.01), min_size=1, max_size=200))
def test_pressure_that_wavers_in_the_gap_changes_nothing(step: Step, below: list[float]) -> None:
    state = LadderState(step, changed_at=0.0)
    for number, difference in enumerate(below):
        state = next_state(UP_AT[step] - difference, state, float(number))
        assert state.step is step


@given(st.lists(PRESSURES, max_size=50))
def test_when_the_pressure_ends_everything_comes_back(history: list[float | None]) -> None:
    state, now = LadderState(), 0.0
    for found in history:
        now += 0.25
        state = next_state(found, state, now)
    for _ in range(math.ceil(len(Step) * (CALM_SECONDS + 0.25) / 0.25)):
        now += 0.25
        state = next_state(0.1, state, now)
    assert state.step is Step.NONE


@given(st.integers(1, 256))
def test_the_cap_on_batches_never_grows_with_the_step_and_is_one_at_last(size: int) -> None:
    caps = [batch_cap(step, size) for step in Step]
    assert caps == sorted(caps, reverse=True)
    assert (caps[Step.EVICT_CACHE], caps[Step.SMALL_BATCHES], caps[Step.SHED]) == (size, max(1, size // 2), 1)


def test_pressure_is_the_share_of_the_room_above_the_idle_engine() -> None:
    assert pressure(MemoryReading(115, 130), idle_bytes=100) == 0.5
    assert pressure(None, 100) is None
    assert pressure(MemoryReading(100, 90), idle_bytes=100) == math.inf


def test_the_reading_that_leaves_least_counts() -> None:
    container, device = MemoryReading(900, 1000), MemoryReading(10, 50)
    assert tightest([container, device]) is device
    assert tightest([]) is None
