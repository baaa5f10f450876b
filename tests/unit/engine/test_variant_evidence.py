"""What decides about a variant: captured inputs, intervals, agreement, drift."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.table_model import an_input
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.settings import CaptureSettings
from trimtab_engine.variants.accuracy import Task, accuracy
from trimtab_engine.variants.capture import SET_INPUTS, Capture, InputSets, TooFewInputs, set_of
from trimtab_engine.variants.drift import Traffic, drift
from trimtab_engine.variants.intervals import percentile_interval, share_interval, speedup_interval

RNG = np.random.default_rng(5)


def test_the_three_sets_are_disjoint_full_and_the_same_in_every_order_of_arrival() -> None:
    one, other = Capture(1 << 20), Capture(1 << 20)
    for number in range(900):
        one.keep(an_input(number))
        other.keep(an_input(899 - number))
    sets, again = one.sets(), other.sets()
    assert isinstance(sets, InputSets)
    assert isinstance(again, InputSets)
    parts = [{captured.key for captured in part} for part in (sets.search, sets.gate, sets.report)]
    assert [len(part) for part in parts] == [SET_INPUTS] * 3
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    for part, same in zip(parts, (again.search, again.gate, again.report), strict=True):
        assert {set_of(key) for key in part} == {set_of(captured.key) for captured in same}


def test_only_distinct_inputs_count() -> None:
    capture = Capture(1 << 20)
    for _ in range(10_000):
        capture.keep(an_input(1))
    few = capture.sets()
    assert isinstance(few, TooFewInputs)
    assert few.search + few.gate + few.report == 1


def test_by_default_nothing_is_decided_on_fewer_than_256_distinct_inputs_in_each_set() -> None:
    kept = CaptureSettings()
    capture = Capture(kept.limit_bytes, kept.inputs)
    for number in range(700):
        capture.keep(an_input(number))
    few = capture.sets()
    assert isinstance(few, TooFewInputs)
    assert (min(few.search, few.gate, few.report) < 256, few.needed) == (True, 256)


@given(st.integers(0, 4000), st.lists(st.integers(1, 900), max_size=200))
def test_the_capture_never_holds_more_than_its_bytes(limit_bytes: int, sizes: list[int]) -> None:
    capture = Capture(limit_bytes)
    for number, size in enumerate(sizes):
        capture.keep(an_input(number, size))
        assert capture.size_bytes <= limit_bytes


def test_old_traffic_fades_once_the_sets_are_full_at_the_pace_of_an_hour() -> None:
    capture, now, number = Capture(1 << 20), 0.0, 0
    looks = {0: 0, 1: 0}
    for _ in range(200_000):
        now += 0.05
        if capture.wants(now):
            looks[now > 1000] += 1
            capture.keep(an_input(number))
            number += 1
    assert looks[0] >= 3 * SET_INPUTS
    assert looks[1] < 9000 * 3 * SET_INPUTS / 3600 * 1.1


def test_the_lower_bounds_hold_in_19_of_20_samples_and_more() -> None:
    assert share_interval(256, 256).low == pytest.approx(0.9852, abs=1e-4)
    assert share_interval(0, 10).high < 0.31
    draws = [percentile_interval(RNG.normal(size=256), 0.05) for _ in range(300)]
    assert sum(draw.low <= -1.6449 <= draw.high for draw in draws) >= 0.93 * 300
    speedups = [speedup_interval(1.2 * RNG.lognormal(0, 0.1, 20), RNG.lognormal(0, 0.1, 20), 1) for _ in range(300)]
    assert sum(found.low <= 1.2 for found in speedups) >= 0.93 * 300


def test_an_answer_that_is_not_finite_agrees_with_nothing() -> None:
    rows = RNG.normal(size=(64, 8)).astype(np.float32)
    broken = rows.copy()
    broken[:16] = np.nan
    for task in Task:
        assert accuracy(task, rows, rows, broken, 0).agreement.measured.value == pytest.approx(0.75)
        assert accuracy(task, rows, rows, rows, 0).agreement.measured.low > 0.9


def test_neighbours_and_the_low_percentile_stand_beside_the_cosine_with_the_originals_own_value() -> None:
    rows = RNG.normal(size=(256, 32)).astype(np.float32)
    other = rows + 0.1 * RNG.normal(size=rows.shape).astype(np.float32)
    found = accuracy(Task.EMBEDDING, rows, rows, other, 0)
    assert found.parts["cosine_p5"].measured.value < found.agreement.measured.low < 1.0
    assert 0.5 < found.parts["neighbour_overlap"].measured.value < 1.0
    assert found.parts["neighbour_overlap"].itself == found.agreement.itself == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("length_factor", "shift", "expected"),
    [(1, 0.0, None), (3, 0.0, "lengths"), (1, 1.0, "centre")],
    ids=["same traffic", "longer inputs", "other answers"],
)
def test_drift_is_seen_in_lengths_and_in_answers_and_not_where_there_is_none(
    length_factor: int, shift: float, expected: str | None
) -> None:
    gate = Traffic(RNG.integers(8, 64, 256), RNG.normal(size=(256, 16)).astype(np.float32))
    recent = Traffic(RNG.integers(8, 64, 256) * length_factor, (RNG.normal(size=(256, 16)) + shift).astype(np.float32))
    found = drift(gate, recent, 0)
    assert (expected is None) == (found is None)
    assert found is None or (expected is not None and expected in found)
