"""How much more than the load is kept ready: what the past would have needed."""

from __future__ import annotations

import pytest
from fakes.builders import NOW, a_pod, a_target
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.headroom import CHOICES, USUAL, USUAL_START_SECONDS, headroom, start_seconds, usual
from trimtab_operator.model.snapshot import Pod

LOADS = st.lists(st.floats(0.01, 50.0), max_size=200)
STEPS = st.integers(0, 20)
SHARES = st.floats(0.01, 0.5)


def growing(ratio: float, times: int = 240) -> list[float]:
    return [ratio**place for place in range(times)]


@pytest.mark.parametrize(
    ("past", "lead", "held", "expected"),
    [
        pytest.param([], 4, 4, USUAL, id="no-past"),
        pytest.param([1.0] * 5, 4, 4, USUAL, id="shorter-than-a-start"),
        pytest.param([1.0] * 60, 4, 4, USUAL, id="too-short-to-go-below-the-usual"),
        pytest.param([1.0] * 200, 4, 4, 1.0, id="steady"),
        pytest.param([3.0] * 100 + [1.0] * 100, 4, 4, 1.0, id="falling"),
        # A twentieth more than is ready is not late: 1.05 x 1.04 < 1.1 < 1.05 x 1.08, and 1.1 squared is 1.21.
        pytest.param(growing(1.1), 1, 1, 1.08, id="a-tenth-in-each-start"),
        pytest.param(growing(1.1), 2, 1, 1.16, id="a-tenth-in-half-a-start"),
        pytest.param(growing(2.0), 1, 1, CHOICES[-1], id="beyond-all-choices"),
        pytest.param([1.0, 1.0, 2.0, 2.0] * 60, 2, 1, CHOICES[-1], id="waves-longer-than-what-is-held"),
        pytest.param([1.0, 1.0, 2.0, 2.0] * 60, 2, 3, 1.0, id="waves-shorter-than-what-is-held"),
        pytest.param([1.0] * 200, 0, 0, 1.0, id="a-start-of-no-time"),
    ],
)
def test_the_smallest_headroom_is_kept_with_which_few_times_were_late(
    past: list[float], lead: int, held: int, expected: float
) -> None:
    assert headroom(past, lead, held, 0.05) == expected


@pytest.mark.parametrize(("lead_seconds", "expected"), [(0.0, USUAL), (90.0, USUAL), (210.0, 1.4), (630.0, 1.6)])
def test_a_longer_start_begins_with_more_headroom(lead_seconds: float, expected: float) -> None:
    assert usual(lead_seconds) == expected
    assert headroom([], 4, 4, 0.05, before=expected) == expected
    assert headroom([1.0] * 300, 4, 4, 0.05, before=expected) == 1.0


def test_half_of_the_allowance_is_spent() -> None:
    past = [1.0] * 500
    past[50], past[100], past[150], past[200] = [2.0] * 4
    # Of 499 times 4 are late, and of the prior's 30 below the usual headroom 120 x the spent share.
    # At .025 that is 7 of 529, fewer than 13; at .005 even the 4 are more than 2.6.
    assert headroom(past, 1, 1, 0.05) == 1.0
    assert headroom(past, 1, 1, 0.01) == CHOICES[-1]


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
    assert headroom(larger, lead, held, share) == headroom(past, lead, held, share)


@given(past=LOADS, lead=STEPS, held=STEPS, share=SHARES)
def test_what_is_held_longer_needs_no_more_headroom(past: list[float], lead: int, held: int, share: float) -> None:
    assert headroom(past, lead, held + 1, share) <= headroom(past, lead, held, share)


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
