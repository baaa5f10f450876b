"""What is simulated, and what is asked of it."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bench.verdicts.production import a_fleet
from bench.verdicts.trial import RULES, Change, Outcome, run_trial
from bench.verdicts.variation import variation
from trimtab_api.trial import Verdict

GAIN = Change(cost_ratio=1.0 / 1.15)
PODS = 2  # the canary and one beside it: the noisiest fleet that a trial takes


@dataclass(frozen=True)
class Run:
    """One repetition: whether what is counted came about, and its trials."""

    counted: bool
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Scenario:
    """Trials of one kind, on windows that vary as much as those of this level do, or by this coefficient of variation.

    `most` is the largest ratio of `counted` that is allowed, None where it is only reported; where it is `by_limit` the
    upper 95 % limit has to keep it. `share` of the repetitions that are asked for are done.
    """

    name: str
    counts: str
    level: str
    change: Change
    counted: Callable[[Verdict, bool], bool]
    trials: int = 1
    most: float | None = None
    by_limit: bool = False
    share: float = 1.0
    every_tick: bool = False
    cv: float | None = None


def _promoted(verdict: Verdict, _aborted: bool) -> bool:
    return verdict is Verdict.IMPROVED


def _missed(verdict: Verdict, _aborted: bool) -> bool:
    return verdict is not Verdict.IMPROVED


def _aborted(_verdict: Verdict, aborted: bool) -> bool:
    return aborted


def _not_aborted(_verdict: Verdict, aborted: bool) -> bool:
    return not aborted


_EQUAL_ARMS = Scenario(
    "equal arms", "policy runs that promote", "p50", Change(), _promoted, RULES.max_trials, 0.02, True
)
_GAIN = Scenario("15 % more capacity", "trials that miss it", "p50", GAIN, _missed, most=0.1, share=0.25)
_GUARDED = Scenario("guards", "trials not aborted", "p90", Change(), _not_aborted, share=0.1, every_tick=True)
SCENARIOS = (
    replace(_EQUAL_ARMS, name="equal arms, windows of p50"),
    replace(_EQUAL_ARMS, name="equal arms, windows of p90", level="p90"),
    replace(_GAIN, name="15 % more capacity, windows of p50"),
    replace(_GAIN, name="15 % more capacity, windows of CV .06", level="p75", cv=0.06),
    replace(_GAIN, name="15 % more capacity, windows of p90", level="p90", most=None),
    replace(_GUARDED, name="equal arms, guards at every tick", counts="trials aborted", counted=_aborted, most=0.05),
    replace(_GUARDED, name="one answer in ten fails", change=Change(error_ratio=0.1), most=0.0),
    replace(_GUARDED, name="first tokens take 1.6 times as long", change=Change(late_ratio=1.6), most=0.05),
)


def repeat(scenario: Scenario, number: int) -> Run:
    """Run a scenario for this time: trials on one fleet until one is counted or all are done."""
    random = np.random.default_rng((zlib.crc32(scenario.name.encode()), number))
    fleet = a_fleet(random, PODS, variation(scenario.level, scenario.cv))
    outcomes: list[Outcome] = []
    counted = False
    while not counted and len(outcomes) < scenario.trials:
        outcomes.append(run_trial(random, fleet, scenario.change, every_tick=scenario.every_tick))
        counted = scenario.counted(outcomes[-1].verdict, outcomes[-1].aborted)
    return Run(counted, tuple(outcomes))


@dataclass(frozen=True)
class Row:
    """What a scenario came to: how often, with standard error and exact upper limits, and the median times."""

    scenario: str
    counts: str
    runs: int
    counted: int
    ratio: float
    standard_error: float
    upper_limit: float
    most: float | None
    met: bool | None
    verdicts: dict[str, int]
    run_in_seconds_median: float
    measured_seconds_median: float


def row_of(scenario: Scenario, runs: list[Run]) -> Row:
    """Add the repetitions up."""
    counted, count = sum(each.counted for each in runs), len(runs)
    outcomes = [one for each in runs for one in each.outcomes]
    ratio = counted / count
    limit = upper_limit(counted, count)
    judged = limit if scenario.by_limit else ratio
    return Row(
        scenario=scenario.name,
        counts=scenario.counts,
        runs=count,
        counted=counted,
        ratio=ratio,
        standard_error=(ratio * (1.0 - ratio) / count) ** 0.5,
        upper_limit=limit,
        most=scenario.most,
        met=None if scenario.most is None else judged <= scenario.most,
        verdicts=dict(Counter(str(each.verdict) for each in outcomes)),
        run_in_seconds_median=float(np.median([each.run_in_seconds for each in outcomes])),
        measured_seconds_median=float(np.median([each.measured_seconds for each in outcomes])),
    )


def upper_limit(counted: int, runs: int) -> float:
    """Return the upper end of the exact 95 % interval of a ratio (C. J. Clopper and E. S. Pearson, 1934)."""
    low, high = counted / runs, 1.0
    for _ in range(50):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _at_most(counted, runs, middle) > 0.025 else (low, middle)
    return high


def _at_most(counted: int, runs: int, ratio: float) -> float:
    """Return the probability of at most so many of the runs."""
    if ratio >= 1.0:
        return float(counted >= runs)
    term, total = (1.0 - ratio) ** runs, 0.0
    for number in range(counted + 1):
        total += term
        term *= (runs - number) / (number + 1) * ratio / (1.0 - ratio)
    return total
