"""The guards in both arms. A guard is compared by counts of requests: how many broke it, of how many.

Late and refused requests come in bursts, for they wait in one queue, so the test allows for their variance being a
multiple of that of independent ones; for errors the multiple is measured where nothing was changed. Guards are looked
at in every tick, so what is beyond doubt is what equal arms show at any of all looks with one chance in a hundred.
Where the arms differed in the run-in already, only what the canary is worse by since then counts.
"""

from __future__ import annotations

from trimtab_api.objectives import LatencyObjective, ObjectiveName, Objectives
from trimtab_api.quantities import parse_duration_seconds, parse_ratio
from trimtab_operator.analysis.arm_slots import bad_shares, over_arm, total, values, within
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.analysis.durations import apdex
from trimtab_operator.analysis.goal_effect import WAITING_OVERDISPERSION, late
from trimtab_operator.analysis.statistics import Shares, excess, overdispersion
from trimtab_operator.model import histogram
from trimtab_operator.model.arms import Arms, TrialTimes
from trimtab_operator.model.comparison import GuardComparison
from trimtab_operator.model.signals import Distribution, Signal

ABORT_ERROR = 0.01
LEAST_REQUESTS = 20  # of the canary, before a guard speaks
LEAST_ERRORS = 3  # one request that failed is no proof
TELLING_EXCESS = 0.2  # of a share: a difference that shall end a trial soonest
LEAST_MARGIN = 0.01
ERROR_OVERDISPERSION = 2.0  # at least
ERRORS_WITHOUT_OBJECTIVE = 0.05  # a change that breaks one request in twenty is broken, whatever was asked for

Slots = tuple[tuple[float, float], ...]
"""(bad requests, of how many) by slot"""


def guards(
    arms: Arms,
    objectives: Objectives | None,
    times: TrialTimes,
    now: float,
    waiting: float = WAITING_OVERDISPERSION,
) -> tuple[GuardComparison, ...]:
    """Compare every guard that the policy has and both arms measure, and errors always; `now` in unix seconds.

    `waiting` is the variance of late requests over that of independent ones.
    """
    asked = objectives or Objectives()
    found = [
        *(_duration(arms, name, rule, waiting) for name, rule in latency_rules(asked)),
        _satisfaction(arms, asked, waiting),
        _errors(arms, asked, times, now),
        _memory(arms, asked, times.settled_at, now),
    ]
    return tuple(each for each in found if each is not None)


def _duration(arms: Arms, name: ObjectiveName, rule: LatencyObjective, waiting: float) -> GuardComparison | None:
    limit, signal = parse_duration_seconds(rule.max), LATENCIES[name]
    after, before = late(arms, arms.distributions.get(signal), limit), late(arms, arms.run_in.get(signal), limit)
    if after is None:
        return None
    return _of_shares(name, after, before, 1.0 - rule.percentile / 100.0, waiting)


def _satisfaction(arms: Arms, asked: Objectives, waiting: float) -> GuardComparison | None:
    rule, signal = asked.satisfaction_ratio, Signal.LATENCY_SECONDS
    if rule is None:
        return None
    satisfied_within = parse_duration_seconds(rule.satisfied_within)
    after = _unsatisfied(arms, arms.distributions.get(signal), satisfied_within)
    if after is None:
        return None
    before = _unsatisfied(arms, arms.run_in.get(signal), satisfied_within)
    allowed = 1.0 - parse_ratio(rule.min)
    return _of_shares(ObjectiveName.SATISFACTION_RATIO, after, before, allowed, waiting)


def _unsatisfied(arms: Arms, distribution: Distribution | None, satisfied_within: float) -> Shares | None:
    return bad_shares(arms, distribution, lambda each: histogram.count(each) * (1.0 - apdex(each, satisfied_within)))


def _errors(arms: Arms, asked: Objectives, times: TrialTimes, now: float) -> GuardComparison | None:
    after = failed_shares(arms, times.settled_at, now)
    if after is None:
        return None
    before = failed_shares(arms, times.run_in_from, times.changed_at)
    varied = error_overdispersion(unchanged_failures(arms, times, now))
    return _of_shares(ObjectiveName.ERROR_RATIO, after, before, error_limit(asked), varied)


def error_limit(asked: Objectives) -> float:
    """Return the share of requests that may fail."""
    return parse_ratio(asked.error_ratio.max) if asked.error_ratio else ERRORS_WITHOUT_OBJECTIVE


def error_overdispersion(unchanged: list[Slots]) -> float:
    """Return by how much failed requests vary beyond independent ones, at least 2, from `unchanged_failures`."""
    return max(ERROR_OVERDISPERSION, overdispersion(unchanged))


def unchanged_failures(arms: Arms, times: TrialTimes, now: float) -> list[Slots]:
    """Return slot by slot how many requests failed, of how many, where nothing was changed: series of each arm."""
    run_in = (times.run_in_from, times.changed_at)
    unchanged = ((arms.canary, run_in), (arms.stable, run_in), (arms.stable, (times.settled_at, now)))
    counted = (Signal.ERRORS_PER_SECOND, Signal.REQUESTS_PER_SECOND)
    series = []
    for pods, (start, end) in unchanged:
        measured = within(over_arm(arms, pods, counted), arms, start, end)
        series.append(tuple((bad * arms.slot_seconds, count * arms.slot_seconds) for bad, count in measured))
    return series


def failed_shares(arms: Arms, start: float, end: float) -> Shares | None:
    """Count the requests of both arms between two times (unix seconds) that failed; None without data of both."""
    both = (arms.canary, arms.stable)
    canary, stable = (total(arms, pods, Signal.REQUESTS_PER_SECOND, start, end) for pods in both)
    failed, failed_beside = (total(arms, pods, Signal.ERRORS_PER_SECOND, start, end) for pods in both)
    return bounded_shares((failed, failed_beside), (canary, stable))


def bounded_shares(failed: tuple[float, float], requests: tuple[float, float]) -> Shares | None:
    """Return the failed of each arm's requests, canary first, no more than there were; None where an arm had none."""
    if min(requests) <= 0.0:
        return None
    canary, stable = map(min, requests, failed)
    return Shares((canary, stable), requests)


def _memory(arms: Arms, asked: Objectives, start: float, end: float) -> GuardComparison | None:
    rule, signal = asked.gpu_memory_ratio, Signal.GPU_MEMORY_USED_RATIO
    canary, stable = (values(arms, pods, signal, start, end) for pods in (arms.canary, arms.stable))
    if rule is None or not canary or not stable:
        return None
    limit, most, most_beside = parse_ratio(rule.max), max(canary), max(stable)
    worse = most - most_beside >= LEAST_MARGIN
    return GuardComparison(
        name=ObjectiveName.GPU_MEMORY_RATIO,
        canary=most,
        stable=most_beside,
        limit=limit,
        breached=most > limit,
        worse=worse,
        samples=total(arms, arms.canary, Signal.REQUESTS_PER_SECOND, start, end),
        chance=0.0 if worse else 1.0,
        bad=0.0,
        stable_breached=most_beside > limit,
    )


def _of_shares(
    name: ObjectiveName, after: Shares, before: Shares | None, allowed: float, overdispersion: float
) -> GuardComparison:
    canary, stable = (bad / count for bad, count in zip(after.bad, after.counts, strict=True))
    found = excess(after, before, overdispersion)
    matters = canary - stable >= LEAST_MARGIN
    return GuardComparison(
        name=name,
        canary=canary,
        stable=stable,
        limit=allowed,
        breached=canary > allowed,
        worse=matters and found.chance_at_any_look(TELLING_EXCESS) < ABORT_ERROR,
        samples=after.counts[0],
        chance=found.chance if matters else 1.0,
        bad=after.bad[0],
        stable_breached=stable > allowed,
    )
