"""What a run says: met, missed, not resolved, not run."""

from __future__ import annotations

import pytest

from bench.engine.__main__ import exit_code
from bench.engine.results import Result
from bench.engine.statistics import Ratio

WIDE, EQUAL, FAST, SLOW = Ratio(1.0, 0.9, 1.1, 8), Ratio(1.0, 0.99, 1.01, 8), Ratio(1.5, 1.4, 1.6, 8), Ratio(1, 1, 1, 8)


def result(ratio: Ratio | None, again: Ratio = EQUAL, *, quick: bool = False) -> Result:
    return Result("a measure", 15.0, 10.0, "mosec", ratio, again, floor=1.2, aim=1.4, quick=quick)


@pytest.mark.parametrize(
    ("found", "met", "code"),
    [
        (result(FAST), True, 0),
        (result(SLOW), False, 1),
        (result(FAST, WIDE), None, 3),
        (result(FAST, quick=True), None, 0),
        (result(SLOW, quick=True), None, 0),
    ],
)
def test_a_floor_is_judged_only_where_the_run_can_tell(found: Result, met: bool | None, code: int) -> None:
    assert found.met is met
    assert exit_code([found], broken=False) == code


def test_a_contender_that_does_not_run_fails_the_bench_whatever_else_was_found() -> None:
    assert exit_code([result(FAST), Result("capacity", note="ray does not run")], broken=True) == 2


def test_a_row_carries_the_names_that_readers_of_the_file_know() -> None:
    row = result(FAST).document()
    named = {"measure", "trimtab", "best_rival", "rival", "ratio", "ratio_low", "ratio_high", "aa_ratio", "pairs"}
    assert named | {"floor", "aim"} <= row.keys()
    assert (row["ratio"], row["ratio_low"], row["ratio_high"], row["pairs"]) == (1.5, 1.4, 1.6, 8)


def test_what_was_not_run_says_why_in_its_line() -> None:
    assert "not run: no GPU" in Result("roofline", note="no GPU").line()
    assert "NOT RESOLVED" in result(FAST, WIDE).line()


def test_a_rate_that_was_never_found_resolves_nothing() -> None:
    found = result(FAST)
    found.unsettled = ("mosec",)
    assert (found.met, exit_code([found], broken=False)) == (None, 3)
