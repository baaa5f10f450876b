"""Every contender on every case. Two processes share the cases, each with its own compiled fleet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench.engine.progress import say
from bench.scaling.cases import Case, Part, parts
from bench.scaling.contenders import CONSTANT, CRON, Build, build, chosen, fixed, scheduled
from bench.scaling.play import Outcome, play, together
from bench.scaling.rivals.cron import Settings as Schedule

PROCESSES = 2
BOUND_SLACK = 1e-6


@dataclass(frozen=True)
class Result:
    """What a contender came to on a case, beside the least GPU-hours that are possible."""

    outcome: Outcome
    bound_gpu_hours: float
    hours: float

    @property
    def over_bound(self) -> float:
        """What it cost beyond the bound, as a share of it."""
        return self.outcome.gpu_hours / self.bound_gpu_hours - 1.0

    @property
    def impossible(self) -> bool:
        """Whether it reached the objectives below the bound: then the bench is wrong."""
        return self.outcome.reached and self.outcome.gpu_hours < self.bound_gpu_hours * (1.0 - BOUND_SLACK)


Results = Mapping[Case, Mapping[str, Result]]


def all_results(folder: Path, every: Iterable[Case]) -> Results:
    """Play all contenders with their chosen settings."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    listed = sorted(every, key=lambda case: -case.mean_replicas)  # the longest first, so that no process waits long
    found: dict[Case, Mapping[str, Result]] = {}
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for case, results in zip(listed, pool.map(partial(on_case, folder), listed), strict=True):
            found[case] = results
            say(f"{len(found)} of {len(listed)}: {case.family}, {case.mean_replicas} replicas, seed {case.seed}")
    return found


def on_case(folder: Path, case: Case) -> dict[str, Result]:
    """Play every contender on one case."""
    played = parts(folder, case)
    found = {name: result(played, build(name, settings)) for name, settings in chosen().items()}
    return {**found, **in_hindsight(played)}


def result(played: tuple[Part, ...], contender: Build) -> Result:
    """Play a contender on all windows of a case."""
    outcomes = [play(part.stage, contender(part.stage)) for part in played]
    return _result(played, together(outcomes))


def in_hindsight(played: tuple[Part, ...]) -> dict[str, Result]:
    """Return what the best schedule, a count for each window, and the best count for all of them would have come to."""
    counts = [_fewest((part,)) for part in played]
    schedules = [play(part.stage, _at_once(count)(part.stage)) for part, count in zip(played, counts, strict=True)]
    best = max(counts)
    while best > 1 and result(played, fixed(best - 1)).outcome.reached:
        best -= 1
    return {CRON: _result(played, together(schedules)), CONSTANT: result(played, fixed(best))}


def _at_once(count: int) -> Build:
    return scheduled(Schedule(((0.0, count),)))


def _fewest(played: tuple[Part, ...]) -> int:
    """Return the fewest replicas that, held from the beginning, reach the objectives."""
    low, high = 0, 1
    while not result(played, fixed(high)).outcome.reached:
        low, high = high, max(high + 1, round(1.5 * high))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if result(played, fixed(middle)).outcome.reached else (middle, high)
    return high


def _result(played: tuple[Part, ...], outcome: Outcome) -> Result:
    hours = sum(part.stage.trace.seconds for part in played) / 3600.0
    return Result(outcome, sum(part.bound_gpu_hours for part in played), hours)


def with_settings(folder: Path, case: Case, name: str, settings: Any) -> Result:
    """Play one contender with other settings than the chosen ones."""
    return result(parts(folder, case), build(name, settings))
