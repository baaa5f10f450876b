"""What a run says: met, missed, not resolved, not run."""

from __future__ import annotations

import dataclasses

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
        (Result("memory", trimtab=90.0, holds=True, asked="at most 120"), True, 0),
        (Result("memory", trimtab=130.0, holds=False, asked="at most 120"), False, 1),
        (Result("roofline", note="no GPU"), None, 0),
    ],
)
def test_a_row_is_judged_only_where_the_run_can_tell(found: Result, met: bool | None, code: int) -> None:
    assert found.met is met
    assert exit_code([found]) == code


def test_a_contender_that_does_not_run_fails_the_bench_whatever_else_was_found() -> None:
    assert exit_code([result(FAST), dataclasses.replace(result(FAST), broken="ray does not run")]) == 2


def test_a_verdict_of_its_own_goes_before_the_floor_under_the_ratio() -> None:
    assert dataclasses.replace(result(FAST), holds=False).met is False
    assert dataclasses.replace(result(FAST), holds=True, unresolved="too few pairs").met is None


def test_a_row_carries_the_names_that_readers_of_the_file_know() -> None:
    row = result(FAST).document()
    named = {"measure", "trimtab", "best_rival", "rival", "ratio", "ratio_low", "ratio_high", "aa_ratio", "pairs"}
    assert named | {"floor", "aim"} <= row.keys()
    assert (row["ratio"], row["ratio_low"], row["ratio_high"], row["pairs"]) == (1.5, 1.4, 1.6, 8)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Result("roofline", note="no GPU"), "not run: no GPU"),
        (Result("capacity", unresolved="mosec: its staircase never turned"), "not resolved: mosec: its staircase"),
        (result(FAST, WIDE), "NOT RESOLVED"),
        (dataclasses.replace(result(FAST), unresolved="3 of 20 pairs"), "NOT RESOLVED: 3 of 20 pairs"),
        (result(FAST), "1.500 [1.400, 1.600], 8 pairs; floor 1.2, aim 1.4: met"),
        (Result("memory", trimtab=130.0, holds=False, asked="at most 120"), "130; at most 120: MISSED"),
        (Result("cores", trimtab=0.05, note="a quiet machine"), "0.05"),
    ],
)
def test_a_line_says_what_was_found_or_why_nothing_was(found: Result, words: str) -> None:
    assert words in found.line()


def test_a_result_is_not_changed_after_it_was_found() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        result(FAST).note = "another"  # type: ignore[misc]
