"""What the results of the contest come to: costs by trace and start-up, and ours against the best rival."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.scaling.cases import Case
from bench.scaling.contenders import CONSTANT, OURS
from bench.scaling.contest import Result, Results

RESAMPLES = 2000
SIMILAR_COST = 1.25


@dataclass(frozen=True)
class Summary:
    """One contender on a group of cases: means over them."""

    gpu_hours: float
    attainment: float
    gpu_hours_at_99: float
    events_per_hour: float
    over_bound: float
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """A geometric mean of ratios with its 95 % bootstrap interval over cases."""

    mean: float
    low: float
    high: float


def charged(case: Mapping[str, Result], name: str) -> float:
    """Return the GPU-hours of a contender; those of the best constant where it missed the objectives."""
    found = case[name]
    return (found if found.outcome.reached else case[CONSTANT]).outcome.gpu_hours


def groups(results: Results) -> dict[tuple[str, float], list[Case]]:
    """Return the cases by traffic, size and start-up."""
    found: dict[tuple[str, float], list[Case]] = defaultdict(list)
    for case in sorted(results):
        found[f"{case.family} x{case.mean_replicas}", case.startup_seconds].append(case)
    return dict(found)


def summary(results: Results, cases: Sequence[Case], name: str) -> Summary:
    """Summarize a contender on a group."""
    own = [results[case][name] for case in cases]
    missed = sum(not each.outcome.reached for each in own)
    flags = ["not validated"]
    if missed:
        flags.append(f"missed {missed} of {len(own)}")
    return Summary(
        gpu_hours=_mean(each.outcome.gpu_hours for each in own),
        attainment=_mean(each.outcome.attainment for each in own),
        gpu_hours_at_99=_mean(charged(results[case], name) for case in cases),
        events_per_hour=_mean(each.outcome.events / each.hours for each in own),
        over_bound=_mean(charged(results[case], name) / results[case][name].bound_gpu_hours - 1.0 for case in cases),
        flags=tuple(flags),
    )


def best_rival(results: Results, cases: Sequence[Case]) -> str:
    """Return the rival that is cheapest on these cases in the geometric mean, each missed one charged."""
    names = [name for name in results[cases[0]] if name != OURS]
    return min(names, key=lambda name: _mean(math.log(charged(results[case], name)) for case in cases))


def cost_ratio(results: Results, cases: Sequence[Case], rival: str) -> Interval:
    """Return our cost over a rival's, paired by case."""
    return _interval([charged(results[case], OURS) / charged(results[case], rival) for case in cases])


def over_bound(results: Results, cases: Sequence[Case]) -> Interval:
    """Return our cost over the lower bound."""
    return _interval([charged(results[case], OURS) / results[case][OURS].bound_gpu_hours for case in cases])


def gap_closed(results: Results, cases: Sequence[Case], rival: str) -> float:
    """Return the share of the way from a rival's cost to the bound that ours goes, over all cases together."""
    bound = sum(results[case][OURS].bound_gpu_hours for case in cases)
    theirs, ours = (sum(charged(results[case], name) for case in cases) for name in (rival, OURS))
    return (theirs - ours) / (theirs - bound)


def events_over_calmest(results: Results, cases: Sequence[Case]) -> float | None:
    """Return our scale events over those of the calmest rival that moves at all and costs little more than ours."""
    cost = sum(charged(results[case], OURS) for case in cases)
    counts = [
        sum(results[case][name].outcome.events for case in cases)
        for name in results[cases[0]]
        if name != OURS
        and all(results[case][name].outcome.reached for case in cases)
        and sum(charged(results[case], name) for case in cases) <= SIMILAR_COST * cost
    ]
    moving = [count for count in counts if count > 2 * len(cases)]
    ours = sum(results[case][OURS].outcome.events for case in cases)
    return ours / min(moving) if moving else None


def impossible(results: Results) -> list[str]:
    """Return who reached the objectives with less than the bound: a mistake of the bench."""
    return [
        f"{name} on {case}"
        for case, contenders in results.items()
        for name, found in contenders.items()
        if found.impossible
    ]


def _interval(ratios: Sequence[float]) -> Interval:
    logs = np.log(ratios)
    dice = np.random.default_rng(0)
    means = logs[dice.integers(0, len(logs), (RESAMPLES, len(logs)))].mean(axis=1)
    low, high = np.exp(np.quantile(means, (0.025, 0.975))).tolist()
    return Interval(math.exp(float(logs.mean())), low, high)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
