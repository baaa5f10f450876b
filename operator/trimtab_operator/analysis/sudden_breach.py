"""A guard that the canary breaks so badly that two scrapes tell it, without waiting until a change has settled.

What the canary did in the last two scrapes is held against all that nothing was changed in: the pods beside it in the
same time, and both arms in the run-in. It is asked in every tick, so only what equal arms show once in a million such
looks counts, and of durations only what makes nearly every request late: a pod may stand still for a moment. Where
what was not changed breaks the guard too, it is not asked. A change that does less harm is found over all of its time
(guard_comparison.py), which tells more.
"""

from __future__ import annotations

from collections.abc import Iterable

from trimtab_api.objectives import LatencyObjective, ObjectiveName, Objectives
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.analysis.comparison import beside_errors, beside_latency
from trimtab_operator.analysis.goal_effect import WAITING_OVERDISPERSION, late
from trimtab_operator.analysis.guard_comparison import (
    LEAST_ERRORS,
    LEAST_REQUESTS,
    Slots,
    bounded_shares,
    error_limit,
    error_overdispersion,
    failed_shares,
    unchanged_failures,
)
from trimtab_operator.analysis.statistics import Shares, excess
from trimtab_operator.model.arms import Arms, Recent, TrialTimes
from trimtab_operator.model.comparison import Beside, GuardComparison, SuddenBreach
from trimtab_operator.model.signals import Signal

SUDDEN_ERROR = 1e-6  # at one look; a trial has tens to hundreds
LATE_SHARE = 0.8
BURST = 2.0  # of the worst slot that nothing was changed in: a slot is longer than two scrapes, and hides bursts


def sudden_breach(arms: Arms, times: TrialTimes, objectives: Objectives | None) -> SuddenBreach | None:
    """Return the first guard on durations or errors that the canary suddenly breaks; None where there is none."""
    asked, recent = objectives or Objectives(), arms.recent
    if recent is None:
        return None
    waits = (_late(arms, recent, name, rule) for name, rule in latency_rules(asked))
    found = (*waits, _failed(arms, recent, times, asked))
    broken = first_broken(found)
    return None if broken is None else SuddenBreach(broken, _beside(arms, recent))


def first_broken(found: Iterable[GuardComparison | None]) -> GuardComparison | None:
    """Return the first guard that the change broke; None where it broke none, or none could be told."""
    return next((each for each in found if each is not None and each.worse), None)


def _beside(arms: Arms, recent: Recent) -> tuple[Beside, ...]:
    latency = beside_latency(arms, recent.distributions.get(Signal.LATENCY_SECONDS))
    failed = _recent_failures(arms, recent) if recent.rates.get(Signal.ERRORS_PER_SECOND) else None
    return (*latency, *beside_errors(failed))


def _late(arms: Arms, recent: Recent, name: ObjectiveName, rule: LatencyObjective) -> GuardComparison | None:
    limit, signal = parse_duration_seconds(rule.max), LATENCIES[name]
    after = late(arms, recent.distributions.get(signal), limit)
    if after is None or waited_before_the_change(recent, limit):
        return None
    allowed = 1.0 - rule.percentile / 100.0
    found = compared(name, after, late(arms, arms.run_in.get(signal), limit), allowed, WAITING_OVERDISPERSION)
    return found if found.canary >= LATE_SHARE else None


def waited_before_the_change(recent: Recent, limit: float) -> bool:
    """Tell whether late requests may have come before the change: all that end within the limit (s) after it did."""
    return (recent.begin + recent.end) / 2.0 - recent.in_force_at < limit


def _failed(arms: Arms, recent: Recent, times: TrialTimes, asked: Objectives) -> GuardComparison | None:
    after, before = _recent_failures(arms, recent), failed_shares(arms, times.run_in_from, times.changed_at)
    if after is None or after.bad[0] < LEAST_ERRORS:
        return None
    unchanged = unchanged_failures(arms, times, recent.end)
    found = compared(ObjectiveName.ERROR_RATIO, after, before, error_limit(asked), error_overdispersion(unchanged))
    return found if found.canary >= BURST * worst_slot(unchanged) else None


def worst_slot(series: list[Slots]) -> float:
    """Return the largest share of bad requests in a slot; slots without requests have none."""
    return max((bad / count for slots in series for bad, count in slots if count > 0.0), default=0.0)


def _recent_failures(arms: Arms, recent: Recent) -> Shares | None:
    seconds = recent.end - recent.begin

    def counted(signal: Signal, pods: tuple[str, ...]) -> float:
        rates = recent.rates.get(signal, {})
        return seconds * sum(rates.get(pod, 0.0) for pod in pods)

    both = (arms.canary, arms.stable)
    canary, stable = (counted(Signal.REQUESTS_PER_SECOND, pods) for pods in both)
    failed, failed_beside = (counted(Signal.ERRORS_PER_SECOND, pods) for pods in both)
    return bounded_shares((failed, failed_beside), (canary, stable))


def compared(
    name: ObjectiveName, after: Shares, before: Shares | None, allowed: float, overdispersion: float
) -> GuardComparison:
    """Compare what the canary did with all that nothing was changed in; `before` is the run-in of both arms."""
    canary, stable = (bad / count for bad, count in zip(after.bad, after.counts, strict=True))
    unchanged = before or Shares((0.0, 0.0), (0.0, 0.0))
    beside = Shares(
        (after.bad[0], after.bad[1] + sum(unchanged.bad)), (after.counts[0], after.counts[1] + sum(unchanged.counts))
    )
    chance = excess(beside, before, overdispersion).chance
    breached, stable_breached = canary > allowed, max(stable, beside.bad[1] / beside.counts[1]) > allowed
    told = after.counts[0] >= LEAST_REQUESTS and chance < SUDDEN_ERROR
    return GuardComparison(
        name=name,
        canary=canary,
        stable=stable,
        limit=allowed,
        breached=breached,
        worse=breached and not stable_breached and told,
        samples=after.counts[0],
        chance=chance,
        bad=after.bad[0],
        stable_breached=stable_breached,
    )
