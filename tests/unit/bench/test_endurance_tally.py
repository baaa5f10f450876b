"""How the endurance bench counts: refusals need a reason, and a slope is told from noise at the start."""

from __future__ import annotations

import pytest

from bench.endurance.tally import MEBIBYTE, Tally, slope_mebibytes


def test_a_refusal_without_a_reason_or_no_answer_at_all_does_not_hold() -> None:
    tally = Tally()
    tally.count(200, None)
    tally.count(503, "MemoryPressure")
    assert (tally.holds, tally.ended) == (True, 2)
    tally.count(500, None)
    assert not tally.holds
    assert not Tally(unanswered=1).holds


def test_the_slope_is_that_after_the_first_tenth() -> None:
    steady = [(done, 50 * MEBIBYTE + 2 * MEBIBYTE * done // 100_000) for done in range(0, 1_000_001, 50_000)]
    steep_start = [(done, size if done >= 100_000 else done) for done, size in steady]
    assert slope_mebibytes(steep_start) == pytest.approx(2.0)
    assert slope_mebibytes(steady[:2]) is None
    assert slope_mebibytes([]) is None
