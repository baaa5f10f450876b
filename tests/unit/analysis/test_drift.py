"""A load is another one when nearly all of a window is of another length, and not before."""

from __future__ import annotations

import csv
import gzip
import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
from fakes.builders import NOW, a_policy, a_series, a_snapshot
from fakes.stands import BASELINE
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.drift import DRIFT_FACTOR, drift
from trimtab_operator.model.analysis import Drift
from trimtab_operator.model.signals import Point, Series, Signal, SignalState

INPUT, OUTPUT = Signal.INPUT_TOKENS, Signal.OUTPUT_TOKENS
TRACE = Path(__file__).parents[2] / "data" / "llm_azure_conv_2023.csv.gz"
STEP_SECONDS, POINTS = 15.0, 120
WINDOW = {"interval": "15s", "window": "30m"}


def lengths(signal: Signal, values: Sequence[float]) -> Series:
    """A series whose last point is of now."""
    first = NOW - STEP_SECONDS * (len(values) - 1)
    points = tuple(Point(first + STEP_SECONDS * number, value) for number, value in enumerate(values))
    return Series(signal, SignalState.OK, "query", points)


def drifted(*series: Series, known: dict[str, Any] | None = None, rps: float = 40.0) -> Drift | None:
    before = {"inputTokens": "25", "outputTokens": "200"} if known is None else known
    policy = a_policy(status={"baseline": BASELINE | before}, observation=WINDOW)
    return drift(a_snapshot(rps=rps, history={each.signal: each for each in series}), policy)


CASES: list[tuple[str, list[Series], Drift | None]] = [
    ("inputs four times longer", [lengths(INPUT, [100.0] * POINTS)], Drift(INPUT, 25.0, 100.0)),
    ("inputs of a quarter", [lengths(INPUT, [6.0] * POINTS)], Drift(INPUT, 25.0, 6.0)),
    ("longer answers", [lengths(INPUT, [25.0] * POINTS), lengths(OUTPUT, [500.0] * POINTS)],
     Drift(OUTPUT, 200.0, 500.0)),
    ("as before", [lengths(INPUT, [25.0] * POINTS), lengths(OUTPUT, [200.0] * POINTS)], None),
    ("a third longer", [lengths(INPUT, [33.0] * POINTS)], None),
    ("longer for half of the window", [lengths(INPUT, [25.0] * 60 + [100.0] * 60)], None),
    ("longer but for the first moments", [lengths(INPUT, [25.0] * 14 + [100.0] * 106)], Drift(INPUT, 25.0, 100.0)),
    ("longer and shorter by turns", [lengths(INPUT, [100.0, 6.0] * 60)], None),
    ("measured for a part of the window", [lengths(INPUT, [100.0] * 60)], None),
    ("not measured", [], None),
]  # fmt: skip


@pytest.mark.parametrize(("series", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_length_has_drifted_once_nearly_all_of_the_window_is_beyond_the_factor(
    series: list[Series], expected: Drift | None
) -> None:
    assert drifted(*series) == expected


@pytest.mark.parametrize(
    ("known", "rps"),
    [
        pytest.param({}, 40.0, id="of a baseline without lengths"),
        pytest.param({"outputTokens": "200"}, 40.0, id="of a length that the baseline does not know"),
        pytest.param(None, 0.05, id="of ninety requests"),
    ],
)
def test_nothing_is_said(known: dict[str, Any] | None, rps: float) -> None:
    assert drifted(lengths(INPUT, [100.0] * POINTS), known=known, rps=rps) is None


def test_nothing_is_said_without_a_baseline_or_where_the_rate_is_not_known() -> None:
    longer = {INPUT: lengths(INPUT, [100.0] * POINTS)}
    assert drift(a_snapshot(history=longer), a_policy()) is None
    policy = a_policy(status={"baseline": BASELINE | {"inputTokens": "25"}})
    silent = longer | {Signal.REQUESTS_PER_SECOND: a_series(Signal.REQUESTS_PER_SECOND, 40.0, seconds=0.0, now=0.0)}
    assert drift(a_snapshot(history=silent), policy) is None


def test_an_hour_of_recorded_conversations_is_one_load() -> None:
    """Inputs and answers of Azure's trace: the first window against every later one."""
    for signal, column in ((INPUT, "in_tok"), (OUTPUT, "out_tok")):
        means = slot_means(column)
        before = {f"{name}Tokens": f"{median(means[:POINTS]):.3f}" for name in ("input", "output")}
        later = [means[end - POINTS : end] for end in range(POINTS, len(means))]
        assert len(later) > 100
        assert [drifted(lengths(signal, each), known=before) for each in later] == [None] * len(later)


def slot_means(column: str) -> list[float]:
    """The mean of every slot of a step in which a request came."""
    slots: dict[int, list[float]] = {}
    with gzip.open(TRACE, "rt") as rows:
        for row in csv.DictReader(rows):
            slots.setdefault(int(float(row["t_s"]) // STEP_SECONDS), []).append(float(row[column]))
    return [fmean(slots[number]) for number in sorted(slots)]


@given(factor=st.floats(1.0 / DRIFT_FACTOR + 0.01, DRIFT_FACTOR - 0.01), seed=st.integers(0, 10_000))
def test_a_length_within_the_factor_is_no_drift_however_it_wavers(factor: float, seed: int) -> None:
    chance = random.Random(seed)
    wavering = [25.0 * factor * chance.lognormvariate(0.0, 0.5) for _ in range(POINTS)]
    assert drifted(lengths(INPUT, wavering)) is None
