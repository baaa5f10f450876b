"""Both arms of a switchback: one pod, by turns with the change and without it.

The goal is judged by pairs of periods: the logarithm of changed cost over unchanged cost in each, their mean, and its
interval by Student's t. The order within each pair was drawn, so where the change does nothing either sign is as likely
whatever the minutes did, and the t test errs on the safe side (B. Efron, 1969) unless pairs are nearly equal in size.
Everything else is compared as between two pods, one of which did the changed periods and the other the unchanged ones.

The guards count the run-in as unchanged too, so that a change which breaks the first period is seen in it. Minutes
differ by more than pods do in the same minute: by how much is measured over the unchanged periods.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import NormalDist, fmean, stdev

from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis.arm_slots import requests_of, within
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.analysis.comparison import compare
from trimtab_operator.analysis.goal_effect import (
    LEAST_ERROR,
    WAITING_OVERDISPERSION,
    absent,
    bounded_log,
    cost_of,
    good_rates,
)
from trimtab_operator.analysis.guard_comparison import guards
from trimtab_operator.analysis.statistics import Interval, overdispersion, t_quantile
from trimtab_operator.analysis.switch_schedule import LEAST_PAIRS
from trimtab_operator.model import histogram
from trimtab_operator.model.arms import Arms, Period, SlotValue, TrialTimes
from trimtab_operator.model.comparison import Comparison, Effect, NotMeasured
from trimtab_operator.model.signals import Buckets, Distribution, Signal, SignalState

CHANGED, UNCHANGED = "changed periods", "unchanged periods"  # as no pod can be called


@dataclass(frozen=True)
class PeriodCost:
    """What the goal makes smaller: `spending` answers what a period spent, and for how much; (0, 0) without data."""

    what: str
    of_capacity: bool
    spending: Callable[[Period], tuple[float, float]]


def compare_periods(
    arms: Arms, times: TrialTimes, *, now: float, goal: Goal, objectives: Objectives | None, confidence: float
) -> Comparison:
    """Compare the periods at a look. The goal is judged up to `times.judged_until`, the guards up to `now`."""
    tried = tuple(period for period in arms.periods if period.number >= 0)
    both, since = as_two_pods(arms, tried), min((period.begin for period in arms.periods), default=times.settled_at)
    return replace(
        compare(both, times, now=now, goal=goal, objectives=objectives, confidence=confidence),
        goal=_effect(_period_cost(both, goal, objectives), tried, times.judged_until, confidence),
        request_share_ratio=None,
        guards=guards(
            as_two_pods(arms, arms.periods),
            objectives,
            TrialTimes(since, since, since, since, times.judged_until),
            now,
            waiting_overdispersion(arms.periods, objectives or Objectives()),
        ),
    )


def paired(differences: tuple[float, ...], confidence: float) -> Interval:
    """Return the mean of at least two differences of pairs with Student's two-sided interval.

    It is never narrower than LEAST_ERROR allows, which is no estimate and so counts by the normal distribution.
    """
    estimated = t_quantile((1.0 + confidence) / 2.0, len(differences) - 1.0) * stdev(differences)
    half = max(_least_half_width(confidence), estimated / math.sqrt(len(differences)))
    point = fmean(differences)
    return Interval(point, point - half, point + half)


def _effect(
    cost: PeriodCost | NotMeasured, tried: tuple[Period, ...], until: float, confidence: float
) -> Effect | NotMeasured:
    if isinstance(cost, NotMeasured):
        return cost
    differences = _differences(tried, until, cost.spending)
    if len(differences) < LEAST_PAIRS:
        text = f"{len(differences)} pairs of periods have data with and without the change; {LEAST_PAIRS} are needed"
        return NotMeasured(text, passing=True)
    found = paired(differences, confidence)
    least_half, count = _least_half_width(confidence), len(differences)
    ends = (found.point, found.low, found.high)
    return Effect(cost.what, cost.of_capacity, *ends, pairs=count, least_half_width=least_half)


def _least_half_width(confidence: float) -> float:
    return NormalDist().inv_cdf((1.0 + confidence) / 2.0) * LEAST_ERROR


def _period_cost(both: Arms, goal: Goal, objectives: Objectives | None) -> PeriodCost | NotMeasured:
    rule = objectives.latency if objectives is not None and goal is Goal.MINIMIZE_LATENCY else None
    if rule is not None:
        limit = parse_duration_seconds(rule.max)
        name = f"share of requests over {rule.max}"
        return PeriodCost(name, of_capacity=False, spending=lambda period: _with_halves(late_in(period, limit)))
    cost = cost_of(both, goal)
    if cost is None:
        return NotMeasured(absent(goal))
    changed, unchanged = (good_rates(both, pods, cost.spent) for pods in (both.canary, both.stable))

    def spending(period: Period) -> tuple[float, float]:
        measured = within(changed if period.changed else unchanged, both, period.begin, period.end)
        return sum(spent for spent, _ in measured), sum(good for _, good in measured)

    return PeriodCost(cost.what, cost.of_capacity, spending)


def _differences(
    tried: tuple[Period, ...], until: float, spending: Callable[[Period], tuple[float, float]]
) -> tuple[float, ...]:
    """Return the logarithm of changed cost over unchanged cost of every pair that is over and has data."""
    ended = (period for period in tried if period.over and period.end <= until)
    known = {period.number: (period.changed, *spending(period)) for period in ended}
    pairs = (
        sorted((known[first], known[first + 1]), reverse=True)
        for first in sorted(known)
        if first % 2 == 0 and first + 1 in known
    )
    return tuple(_log_ratio(*pair) for pair in pairs if _has_data(*pair))


def _has_data(*pair: tuple[bool, float, float]) -> bool:
    return all(good > 0.0 for _, _, good in pair) and any(spent > 0.0 for _, spent, _ in pair)


def _log_ratio(changed: tuple[bool, float, float], unchanged: tuple[bool, float, float]) -> float:
    return bounded_log(changed[1] * unchanged[2], unchanged[1] * changed[2])


def _with_halves(counts: tuple[float, float]) -> tuple[float, float]:
    """Add a half to both counts, so that a share of 0 has a ratio too (S. D. Walter, 1975); none where none came."""
    bad, count = counts
    return (bad + 0.5, count + 0.5) if count > 0.0 else counts


def late_in(period: Period, limit: float, signal: Signal = Signal.LATENCY_SECONDS) -> tuple[float, float]:
    """Return how many requests of a period took longer than the limit (seconds), and of how many."""
    found = _requests(period, signal)
    if found is None:
        return 0.0, 0.0
    return histogram.count(found) - histogram.below(found, limit), histogram.count(found)


def waiting_overdispersion(periods: tuple[Period, ...], asked: Objectives) -> float:
    """Return by how much the late requests of unchanged periods vary beyond independent ones, at least as of pods."""
    limits = [(LATENCIES[name], parse_duration_seconds(rule.max)) for name, rule in latency_rules(asked)]
    if asked.satisfaction_ratio is not None:
        satisfied_within = parse_duration_seconds(asked.satisfaction_ratio.satisfied_within)
        limits.append((Signal.LATENCY_SECONDS, satisfied_within))
    unchanged = [period for period in periods if not period.changed]
    series = [tuple(late_in(period, limit, signal) for period in unchanged) for signal, limit in limits]
    return max(WAITING_OVERDISPERSION, overdispersion(series))


def as_two_pods(arms: Arms, periods: tuple[Period, ...]) -> Arms:
    """Return the slots and histograms of these periods as those of two pods."""
    sides = {
        CHANGED: [period for period in periods if period.changed],
        UNCHANGED: [period for period in periods if not period.changed],
    }
    signals = {signal for period in periods for signal in period.distributions}
    return Arms(
        slot_seconds=arms.slot_seconds,
        canary=(CHANGED,),
        stable=(UNCHANGED,),
        slots={
            signal: {pods: _slots_in(arms, by_pod, spans) for pods, spans in sides.items()}
            for signal, by_pod in arms.slots.items()
        },
        distributions={signal: _merged(signal, sides) for signal in signals},
        since=arms.since,
    )


def _slots_in(arms: Arms, by_pod: dict[str, tuple[SlotValue, ...]], periods: Iterable[Period]) -> tuple[SlotValue, ...]:
    spans = [(period.begin + arms.slot_seconds, period.end) for period in periods]
    values = (value for pod in arms.canary for value in by_pod.get(pod, ()))
    return tuple(value for value in values if any(first <= value.at <= last for first, last in spans))


def _merged(signal: Signal, sides: dict[str, list[Period]]) -> Distribution:
    by_pod = {}
    for pods, periods in sides.items():
        counted = (_requests(period, signal) for period in periods)
        merged = histogram.merge(each for each in counted if each is not None)
        if merged is not None:
            by_pod[pods] = merged
    return Distribution(signal, SignalState.OK, query="", window_seconds=0.0, by_pod=by_pod)


def _requests(period: Period, signal: Signal) -> Buckets | None:
    """Return the pod's histogram of a period; None without data or without requests."""
    distribution = period.distributions.get(signal)
    return None if distribution is None else requests_of(distribution, tuple(distribution.by_pod))
