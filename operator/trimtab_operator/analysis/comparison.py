"""Front door of a trial's analysis: both arms side by side. Pure; the verdict is the trial room's."""

from __future__ import annotations

from trimtab_api.findings import Measure
from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_operator.analysis.arm_slots import mean, requests_of, total, within
from trimtab_operator.analysis.goal_effect import cost_of, goal_effect, good_rates
from trimtab_operator.analysis.guard_comparison import bounded_shares, guards
from trimtab_operator.analysis.statistics import Shares
from trimtab_operator.model import histogram
from trimtab_operator.model.arms import Arms, TrialTimes
from trimtab_operator.model.comparison import Beside, Comparison
from trimtab_operator.model.signals import Distribution, Signal


def compare(
    arms: Arms, times: TrialTimes, *, now: float, goal: Goal, objectives: Objectives | None, confidence: float
) -> Comparison:
    """Compare both arms at a look. The goal is judged up to `times.judged_until`, the guards up to `now`."""
    start, end = times.settled_at, times.judged_until
    canary, stable = (total(arms, pods, Signal.REQUESTS_PER_SECOND, start, end) for pods in (arms.canary, arms.stable))
    uses = [_use(arms, pods, start, end) for pods in (arms.canary, arms.stable)]
    return Comparison(
        goal=goal_effect(arms, times, goal, objectives, confidence),
        canary_load_ratio=uses[0],
        load_ratio=max((each for each in uses if each is not None), default=None),
        canary_requests=canary,
        stable_requests=stable,
        request_share_ratio=_share(arms, canary, stable),
        guards=guards(arms, objectives, times, now),
        beside=(
            *_throughput(arms, goal, start, end, (canary, stable)),
            *beside_latency(arms, arms.distributions.get(Signal.LATENCY_SECONDS)),
            *_errors(arms, start, end, (canary, stable)),
            *_cache(arms, start, end, (canary, stable)),
        ),
    )


def _use(arms: Arms, pods: tuple[str, ...], start: float, end: float) -> float | None:
    """Return the mean use of an arm: of its workers, else of its CPUs where their limits are known."""
    busy = mean(arms, pods, Signal.BUSY_RATIO, start, end)
    if busy is not None:
        return busy
    used, limit = (mean(arms, pods, each, start, end) for each in (Signal.CPU_USED_CORES, Signal.CPU_LIMIT_CORES))
    return used / limit if used is not None and limit else None


def _share(arms: Arms, canary: float, stable: float) -> float | None:
    if canary + stable <= 0.0:
        return None
    fair = len(arms.canary) / (len(arms.canary) + len(arms.stable))
    return canary / (canary + stable) / fair


def _throughput(arms: Arms, goal: Goal, start: float, end: float, requests: tuple[float, float]) -> tuple[Beside, ...]:
    cost = cost_of(arms, Goal.MINIMIZE_COST if goal is Goal.MINIMIZE_LATENCY else goal)
    if cost is None:
        return ()
    measure, unit = (Measure.THROUGHPUT, "answers/busy s") if cost.of_capacity else (Measure.ENERGY_PER_REQUEST, "J")
    both: list[float | None] = []
    for pods in (arms.canary, arms.stable):
        measured = within(good_rates(arms, pods, cost.spent), arms, start, end)
        spent, good = sum(used for used, _ in measured), sum(answers for _, answers in measured)
        upper, lower = (good, spent) if cost.of_capacity else (spent, good)
        both.append(upper / lower if lower > 0.0 else None)
    return (Beside(measure, both[0], both[1], unit, *requests),)


def beside_latency(arms: Arms, distribution: Distribution | None) -> tuple[Beside, ...]:
    """Return the latency of both arms by a histogram; nothing without data of both."""
    canary, stable = (requests_of(distribution, pods) for pods in (arms.canary, arms.stable))
    if canary is None or stable is None:
        return ()
    first, second = (histogram.percentile(each, 95.0).seconds for each in (canary, stable))
    return (Beside(Measure.LATENCY_P95, first, second, "s", histogram.count(canary), histogram.count(stable)),)


def _errors(arms: Arms, start: float, end: float, requests: tuple[float, float]) -> tuple[Beside, ...]:
    if not arms.slots.get(Signal.ERRORS_PER_SECOND):
        return ()
    failed, failed_beside = (
        total(arms, pods, Signal.ERRORS_PER_SECOND, start, end) for pods in (arms.canary, arms.stable)
    )
    return beside_errors(bounded_shares((failed, failed_beside), requests))


def beside_errors(failed: Shares | None) -> tuple[Beside, ...]:
    """Return the share of requests that failed in both arms; nothing without data of both."""
    if failed is None:
        return ()
    canary, stable = (bad / count for bad, count in zip(failed.bad, failed.counts, strict=True))
    return (Beside(Measure.ERRORS, canary, stable, "ratio", *failed.counts),)


def _cache(arms: Arms, start: float, end: float, requests: tuple[float, float]) -> tuple[Beside, ...]:
    canary, stable = (mean(arms, pods, Signal.CACHE_HIT_RATIO, start, end) for pods in (arms.canary, arms.stable))
    if canary is None and stable is None:
        return ()
    return (Beside(Measure.CACHE_HITS, canary, stable, "ratio", *requests),)
