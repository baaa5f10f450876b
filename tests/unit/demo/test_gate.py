"""What the demo says of a format behind the accuracy gate, and how it reads the accuracy of the engines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.demo.accuracy import Accuracy, accuracy_of
from dev.demo.tuning.gate import Gate, format_trial, gate_line, searching
from dev.demo.tuning.plan import Quality, TuningPlan
from dev.demo.tuning.trials import TrialSight

Trial = Callable[..., TrialSight]
INT8 = "quantization None→Int8"
REFUSED = "the engine refused the change: quantization Int8: "
AGREED = Accuracy(2, 2, 0.9931, 0.9905)


def a_row(value: float, **labels: str) -> dict[str, Any]:
    return {"metric": {"model": "minilm", **labels}, "value": [0.0, str(value)]}


def variant(pod: str, name: str = "base") -> dict[str, Any]:
    return a_row(1.0, pod=pod, variant=name)


def agreement(pod: str, name: str, value: float, low: float) -> list[dict[str, Any]]:
    bounds = {"value": value, "low": low, "high": 1.0, "self": 1.0}
    return [a_row(each, pod=pod, variant=name, bound=bound) for bound, each in bounds.items()]


@pytest.mark.parametrize(
    ("variants", "agreements", "written"),
    [
        pytest.param([variant("a"), variant("b")], [], "unmodified", id="unmodified"),
        pytest.param(
            [variant("a", "int8-1"), variant("b")],
            agreement("a", "int8-1", 0.9931, 0.9905),
            "0.9931 (at least 0.9905) in 1 of 2",
            id="canary",
        ),
        pytest.param(
            [variant("a", "int8-1"), variant("b", "int8-2")],
            agreement("a", "int8-1", 0.9931, 0.9905) + agreement("b", "int8-2", 0.9921, 0.9891),
            "0.9921 (at least 0.9891)",
            id="all, the least",
        ),
        pytest.param([variant("a", "int8-1"), variant("b")], [], "unknown in 1 of 2", id="not said yet"),
        pytest.param(
            [variant("a", "int8-2"), variant("b")],
            agreement("a", "int8-1", 0.99, 0.98),
            "unknown in 1 of 2",
            id="of another variant",
        ),
    ],
)
def test_accuracy_is_that_of_the_variants_in_force(
    variants: list[dict[str, Any]], agreements: list[dict[str, Any]], written: str
) -> None:
    assert str(accuracy_of(variants, agreements)) == written


def test_without_a_word_of_the_engines_accuracy_is_not_known() -> None:
    assert accuracy_of([], []) is None
    assert accuracy_of([a_row(0.0, pod="a", variant="base")], []) is None


@pytest.mark.parametrize(
    ("trial", "starts"),
    [
        pytest.param(
            {"phase": "Shadow", "verdict": "Unknown"}, "Int8 was still being searched (quantization", id="searching"
        ),
        pytest.param({"phase": "RunIn", "verdict": "Unknown"}, "Int8 was about to be searched", id="before"),
        pytest.param(
            {"phase": "Measuring", "verdict": "Unknown"},
            "Int8 passed the gate (0.98 asked for, measured 0.9931 (at least 0.9905)); its trial was still",
            id="measuring",
        ),
        pytest.param(
            {"verdict": "FailedToStart", "reason": REFUSED + "NotFaster: the best plan is 0.9 times as fast"},
            "Int8 answered no request: its engine refused it, it found no plan of layers that is faster",
            id="not faster",
        ),
        pytest.param(
            {"verdict": "FailedToStart", "reason": REFUSED + "AccuracyTooLow: gate: 0.97"},
            "Int8 answered no request: its engine refused it, its answers would agree too little",
            id="too inaccurate",
        ),
        pytest.param(
            {"verdict": "FailedToStart", "reason": "the engine was still at it after 1200 s"},
            "Int8 answered no request: its engine did not take it: the engine was still at it",
            id="gave up",
        ),
        pytest.param(
            {}, "Int8 passed the gate (0.98 asked for, measured 0.9931 (at least 0.9905)) and was kept", id="kept"
        ),
        pytest.param({"phase": "RollingOut"}, "Int8 passed the gate", id="rolling out"),
        pytest.param(
            {"verdict": "Inconclusive", "reason": "a difference of 0.05 is ruled out"},
            "Int8 passed the gate (0.98 asked for, measured 0.9931 (at least 0.9905)) and was taken back: Inconclusive",
            id="of no use",
        ),
    ],
)
def test_whatever_the_trial_came_to_is_said_in_one_line(a_trial: Trial, trial: dict[str, str], starts: str) -> None:
    line = gate_line(Gate(Quality(), a_trial(change=INT8, **trial), "quantization Int8: Searching", "", AGREED))
    assert line.startswith(starts)
    assert "\n" not in line


def test_a_kept_format_that_is_not_in_every_replica_yet_says_so(a_trial: Trial) -> None:
    assert gate_line(Gate(Quality(), a_trial(change=INT8, phase="Validating"))).endswith(
        "in phase Validating when the demo's time was over"
    )
    assert gate_line(Gate(Quality(), a_trial(change=INT8))).endswith("and was kept, throughput +61%")


def test_a_format_that_was_not_tried_says_why() -> None:
    assert "over before its turn" in gate_line(Gate(Quality()))
    assert gate_line(Gate(Quality(), unavailable="HardwareMismatch: no kernel")).endswith("HardwareMismatch: no kernel")


def test_only_the_newest_trial_of_a_format_is_followed(a_trial: Trial) -> None:
    first, other, last = a_trial("t-1", change=INT8), a_trial("t-2"), a_trial("t-3", change=INT8, phase="Shadow")
    assert format_trial([first, other]) == first
    assert format_trial([other]) is None
    assert format_trial([first, other, last]) == last
    assert not searching([first, other])
    assert not searching([a_trial(change=INT8, phase="Measuring", verdict="Unknown")])
    assert searching([first, a_trial("t-3", change=INT8, phase="Shadow", verdict="Unknown")])


def test_the_second_window_the_search_and_the_tables_fit_into_the_time_of_the_demo() -> None:
    plan = TuningPlan()
    assert plan.enough_seconds + plan.settle_seconds + plan.measured_seconds <= plan.over_seconds - plan.gate_seconds
    assert plan.over_seconds < plan.story_seconds <= 16 * 60
