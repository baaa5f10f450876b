"""Writes bench/data/dynamo: what Dynamo's ARIMA and Prophet expect on the rate traces of `bench.forecast`.

`make -C dev/rivals dynamo-forecasts`. They are Dynamo's own classes with its default settings, fed with the requests of
each interval, whose gaps are filled as for every rival of that bench. It takes an hour or more: at each step ARIMA is
fitted anew to all that it has seen, Prophet to the last 50 values.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from dynamo.planner.config.planner_config import PlannerConfig
from dynamo.planner.core.load.predictors import LOAD_PREDICTORS

from bench.rate_traces import PATTERN, TRACES, RateTrace, read
from bench.recorded_forecasts import FOLDER, PREDICTORS, write
from trimtab_operator.analysis.forecast import MOST_ERRORS
from trimtab_replay.tables import files

PACKAGES = ("ai-dynamo", "pmdarima", "statsmodels", "prophet")
MOST_VALUES = 2016
"""Of a trace: a fit of ARIMA takes longer with each value that it has seen."""


@dataclass(frozen=True)
class Use:
    """How a predictor is used: Dynamo's name of it, and the first place at which it is asked."""

    predictor: str
    asked_from: int


def use_of(predictor: str, trace: RateTrace) -> Use:
    """Return how a predictor is used on a trace.

    ARIMA chooses its order where it is first asked: from five values, or from a warm-up trace, for which half of what
    the bench does not judge stands. Prophet forgets, and is asked where the bench looks.
    """
    return {
        "arima": Use("arima", 0),
        "arima_warmed_up": Use("arima", trace.first_judged // 2),
        "prophet": Use("prophet", max(0, trace.first_judged - MOST_ERRORS)),
    }[predictor]


def expected(trace: RateTrace, use: Use) -> list[float | None]:
    """Return for each time what is expected of the next, in the trace's unit; None where the predictor is not asked."""
    predictor = LOAD_PREDICTORS[use.predictor](
        PlannerConfig(
            mode="agg",
            backend="vllm",
            optimization_target="sla",
            enable_throughput_scaling=True,
            load_predictor=use.predictor,
            throughput_adjustment_interval_seconds=round(trace.step_seconds),
        )
    )
    found: list[float | None] = []
    for place, requests in enumerate((trace.filled() * trace.requests_per_unit).tolist()[:MOST_VALUES]):
        predictor.add_data_point(requests)
        found.append(predictor.predict_next() / trace.requests_per_unit if place >= use.asked_from else None)
    return found


def main() -> None:
    """Make the forecasts, one file for each trace and predictor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=Path, default=TRACES)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    source = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    for trace in map(read, files(options.traces, PATTERN)):
        for predictor in PREDICTORS:
            write(options.output, predictor, trace, source, expected(trace, use_of(predictor, trace)))
            print(trace.name, predictor, flush=True)


if __name__ == "__main__":
    main()
