"""How much more than the load is kept ready: what the past would have needed."""

from __future__ import annotations

import math

import pytest
from fakes.builders import NOW, a_pod, a_target
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from trimtab_operator.analysis.headroom import PRIOR_TIMES, USUAL, USUAL_START_SECONDS, headroom, start_seconds
from trimtab_operator.model.snapshot import Pod

LOADS = st.lists(st.floats(0.01, 50.0), max_size=200)
STEPS = st.integers(0, 20)
SHARES = st.floats(0.01, 0.5)


@pytest.mark.parametrize(
    ("past", "lead", "held"),
    [
        pytest.param([], 4, 4, id="no-past"),
        pytest.param([1.0, 2.0] * 3, 4, 3, id="shorter-than-a-start-and-what-is-held"),
        pytest.param([], 0, 0, id="a-start-of-no-time"),
        pytest.param([0.0] * 240, 4, 4, id="never-any-load"),
    ],
)
def test_without_a_past_it_is_the_usual(past: list[float], lead: int, held: int) -> None:
    assert headroom(past, lead, held, 0.01) == pytest.approx(USUAL)


# Growth g in every step: the scale is the root of (6 s^2 + 2 n g^2) / (6 + n), s the usual one, n lead times.
@pytest.mark.parametrize(
    ("ratio", "lead", "share"),
    [
        pytest.param(1.0, 1, 0.05, id="steady"),
        pytest.param(0.9, 1, 0.05, id="falling"),
        pytest.param(1.02, 1, 0.05, id="rising"),
        pytest.param(1.02, 5, 0.05, id="rising-through-a-longer-start"),
        pytest.param(1.02, 5, 0.01, id="where-less-may-be-late"),
    ],
)
def test_it_is_worked_out_as_by_hand(ratio: float, lead: int, share: float) -> None:
    grown, times = max(0.0, math.log(ratio) * lead), (240 - lead) / lead
    squares = PRIOR_TIMES * (math.log(USUAL) / float(student.ppf(0.995, PRIOR_TIMES))) ** 2 + 2.0 * times * grown**2
    tail = float(student.ppf(1.0 - share / 2.0, PRIOR_TIMES + times))
    expected = math.exp(tail * math.sqrt(squares / (PRIOR_TIMES + times)))
    assert headroom([ratio**place for place in range(240)], lead, 1, share) == pytest.approx(expected)


def test_waves_shorter_than_what_is_held_need_as_little_as_a_steady_load() -> None:
    waves = [1.0, 1.0, 2.0, 2.0] * 60
    assert headroom(waves, 2, 3, 0.05) == pytest.approx(headroom([1.0] * 240, 2, 3, 0.05))
    assert headroom(waves, 2, 1, 0.05) > 2.0


def test_the_longer_the_past_was_calm_the_less_is_kept_ready() -> None:
    kept = [headroom([1.0] * times, 4, 4, 0.05) for times in (0, 20, 60, 120, 240)]
    assert kept == sorted(kept, reverse=True)
    assert 1.0 < kept[-1] < 1.08


@given(past=LOADS, lead=STEPS, held=STEPS, shares=st.tuples(SHARES, SHARES))
def test_who_allows_more_late_requests_keeps_no_more_ready(
    past: list[float], lead: int, held: int, shares: tuple[float, float]
) -> None:
    assert headroom(past, lead, held, max(shares)) <= headroom(past, lead, held, min(shares))


@given(past=LOADS, lead=STEPS, held=STEPS, share=SHARES, doublings=st.integers(-8, 8))
def test_a_larger_load_of_the_same_course_needs_the_same_headroom(
    past: list[float], lead: int, held: int, share: float, doublings: int
) -> None:
    larger = [each * 2.0**doublings for each in past]
    assert headroom(larger, lead, held, share) == pytest.approx(headroom(past, lead, held, share))


@given(past=LOADS, lead=STEPS, held=STEPS, share=SHARES)
def test_it_is_one_at_least(past: list[float], lead: int, held: int, share: float) -> None:
    assert headroom(past, lead, held, share) >= 1.0


def started(seconds: float | None, name: str = "chat-0") -> Pod:
    return a_pod(name, created_at=NOW - 5000.0, ready_at=None if seconds is None else NOW - 5000.0 + seconds)


@pytest.mark.parametrize(
    ("pods", "seconds"),
    [
        pytest.param((started(40.0), started(90.0), started(100.0)), 90.0, id="the-median"),
        pytest.param((started(40.0), started(None)), 40.0, id="one-that-starts-still"),
        pytest.param((started(40.0), started(4000.0)), 40.0, id="one-that-was-ready-again-after-an-hour"),
        pytest.param((started(None), started(0.0)), USUAL_START_SECONDS, id="none-known"),
        pytest.param((), USUAL_START_SECONDS, id="no-pods"),
    ],
)
def test_how_long_a_start_takes_is_learned_from_those_that_did(pods: tuple[Pod, ...], seconds: float) -> None:
    assert start_seconds(a_target(pods=pods)) == seconds
