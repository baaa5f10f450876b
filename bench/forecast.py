"""`python -m bench.forecast [--json F] [--traces DIR]`: demand one step ahead on real rate traces, against rivals.

Pinball loss of the quantiles .5, .9 and .98, over the mean demand. Each rival is a point forecast that is given the
quantiles of its own errors of late by the same function as ours; all see the same values, and gaps are masked. A rival
that says nothing at some times is compared at the others. Kalman is Dynamo's filter; its ARIMA and Prophet are recorded
(`bench/data/README.md`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.engine.progress import say
from bench.forecast_rivals import RIVALS
from bench.rate_traces import PATTERN, TRACES, RateTrace, read
from bench.recorded_forecasts import PREDICTORS, recorded
from trimtab_operator.analysis.forecast import LEAST_SHARE, forecast, pinball, quantile_levels
from trimtab_operator.model.arrays import Floats
from trimtab_replay.tables import UnfitFileError, files

QUANTILES = (0.5, 0.9, 0.98)
LOOKBACK_DAYS = 21
FLOOR, AIM = 1.0, 0.9


@dataclass(frozen=True)
class Beside:
    """A rival's pinball loss over the mean demand, at so many times, and our loss at these over it."""

    loss: float
    times: int
    ratio: float


@dataclass(frozen=True)
class Row:
    """One trace: our pinball loss over the mean demand, and what stands beside it; `best` is the hardest to beat."""

    trace: str
    step_seconds: float
    times: int
    loss: float
    rivals: dict[str, Beside]
    best: str
    ratio: float
    met: bool


def measure(trace: RateTrace, records: dict[str, Floats]) -> Row:
    """Forecast every time after the warm-up from what was known then; `records` are of rivals that ran before."""
    values = trace.filled()
    expected = {rival: forecast_by(values, trace.day) for rival, forecast_by in RIVALS.items()} | records
    places = [now for now in range(trace.first_judged, len(values) - 1) if np.isfinite(trace.demand[now + 1])]
    mean = float(np.nanmean(trace.demand))
    ours = np.array([_our_loss(trace, now) for now in places]) / mean
    rivals = {rival: _beside(ours, _losses(values, each, places) / mean) for rival, each in expected.items()}
    best = max(rivals, key=lambda rival: rivals[rival].ratio)
    ratio = rivals[best].ratio
    return Row(trace.name, trace.step_seconds, len(places), float(ours.mean()), rivals, best, ratio, ratio <= FLOOR)


def _our_loss(trace: RateTrace, now: int) -> float:
    seen = trace.demand[max(0, now + 1 - LOOKBACK_DAYS * trace.day) : now + 1]
    found = forecast(seen, trace.step_seconds, 1, QUANTILES)
    return pinball(trace.demand[now + 1 : now + 2], np.array([found.quantiles]), QUANTILES)


def _losses(values: Floats, expected: Floats, places: Sequence[int]) -> Floats:
    """Return a rival's loss at each place; NaN where it expects nothing."""
    losses = np.full(len(places), np.nan)
    expected = np.maximum(expected, LEAST_SHARE * values.mean())  # as ours: an error has a share of what is expected
    for number, now in enumerate(places):
        if np.isfinite(expected[now]):
            known = np.isfinite(expected[:now])
            levels = quantile_levels(expected[:now][known], values[1 : now + 1][known], float(expected[now]), QUANTILES)
            losses[number] = pinball(values[now + 1 : now + 2], levels[None, :], QUANTILES)
    return losses


def _beside(ours: Floats, theirs: Floats) -> Beside:
    said = np.isfinite(theirs)
    loss = float(theirs[said].mean())
    return Beside(loss, int(said.sum()), float(ours[said].mean()) / loss)


def lines_of(row: Row) -> list[str]:
    """Return the row of the table, and below it the ratio to each rival."""
    beside = f"{row.best} {row.rivals[row.best].loss:.4f}"
    verdict = "met" if row.met else "MISSED"
    first = f"{row.trace:32} {row.step_seconds:5.0f}s {row.loss:7.4f} {beside:>33} {row.ratio:6.3f}  {verdict}"
    ratios = [
        f"{rival} {each.ratio:.3f}" + (f" at {each.times} of {row.times} times" if each.times < row.times else "")
        for rival, each in row.rivals.items()
    ]
    absent = [f"{rival} not recorded" for rival in PREDICTORS.values() if rival not in row.rivals]
    return [first, "    over " + ", ".join(ratios + absent)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every trace; 1 where a floor is missed, 2 where the traces cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m bench.forecast", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--traces", type=Path, default=TRACES)
    options = parser.parse_args(arguments)
    rows = []
    print(f"{'trace':32} {'step':>6} {'ours':>7} {'best rival':>33} {'ratio':>6}  at most {FLOOR:g}, aim {AIM:g}")
    try:
        for path in files(options.traces, PATTERN):
            trace = read(path)
            rows.append(measure(trace, recorded(trace)))
            print("\n".join(lines_of(rows[-1])), flush=True)
    except UnfitFileError as error:
        say(f"bench.forecast: {error}")
        return 2
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
