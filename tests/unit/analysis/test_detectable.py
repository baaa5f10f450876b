"""What a run-in lets the last look tell: less noise and more slots tell more, and few slots are not trusted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.detectable import detectable
from trimtab_operator.analysis.shift import shift

CONFIDENCE, LEAST_ERROR = 0.999, 0.02


def slots(count: int, spread: float, seed: int = 1) -> tuple[float, ...]:
    return tuple(map(float, np.random.default_rng(seed).normal(0.3, spread, count)))


def found(run_in: tuple[float, ...], after: int = 30) -> float:
    return detectable(run_in, after, CONFIDENCE, LEAST_ERROR)


@given(seed=st.integers(0, 2**32 - 1), spread=st.floats(0.04, 0.3), count=st.integers(4, 40))
def test_the_noise_of_the_slots_scales_what_is_told(seed: int, spread: float, count: int) -> None:
    run_in = slots(count, spread, seed)
    louder = tuple(2.0 * each for each in run_in)
    assert detectable(louder, 30, CONFIDENCE, 0.0) == pytest.approx(2.0 * detectable(run_in, 30, CONFIDENCE, 0.0))


def test_more_slots_on_either_side_tell_more() -> None:
    assert found(slots(30, 0.1)) < found(slots(12, 0.1)) < found(slots(5, 0.1))
    assert found(slots(12, 0.1), 30) < found(slots(12, 0.1), 6)


def test_few_slots_are_taken_to_vary_by_more_than_they_show() -> None:
    """The same spread, shown by five slots and by fifty, with as many independent ones behind the mean."""
    pattern = (-0.1, 0.1, 0.0, 0.1, -0.1)
    assert found(pattern, 10**6) > 2.0 * 10**0.5 * found(pattern * 10, 10**6)


def test_slots_without_any_noise_tell_no_less_than_pods_wander() -> None:
    assert found((0.1,) * 8) > 3.0 * LEAST_ERROR


def test_what_is_said_to_be_told_is_told() -> None:
    """Nineteen in twenty, and some more for the noise that few slots have kept back."""
    told = 0
    for seed in range(100):
        before = slots(20, 0.06, seed)
        after = tuple(each + found(before) for each in slots(30, 0.06, 1000 + seed))
        told += shift(after, before, CONFIDENCE, LEAST_ERROR).low > 0.0
    assert told >= 95
