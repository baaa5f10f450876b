"""What a change does to the goal's cost: a difference in differences over equal slots of time.

For each slot the logarithm of canary cost over stable cost; the shift of the measured slots against those of the
run-in, when the arms were equal. That takes out what the minutes do to both arms, and what makes pods differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from trimtab_api.engine_knobs import CACHE_KNOBS, Knob
from trimtab_api.objectives import LatencyObjective, Objectives
from trimtab_api.policy_spec import Goal
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis.arm_slots import bad_shares, over_arm, within
from trimtab_operator.analysis.detectable import detectable
from trimtab_operator.analysis.shift import shift
from trimtab_operator.analysis.statistics import Shares, log_share_ratio
from trimtab_operator.model import histogram
from trimtab_operator.model.arms import Arms, TrialTimes
from trimtab_operator.model.comparison import Effect, NotMeasured
from trimtab_operator.model.signals import Distribution, Signal

LEAST_SLOTS = 5
LEAST_RUN_IN_SLOTS = 4
LEAST_ERROR = 0.02  # pods differ from minute to minute by more than their slots tell
LARGEST_LOG_RATIO = 3.0  # of one slot; an arm that all but did nothing in it says no more than "very different"
LEAST_LOAD = 0.6  # of the busier arm, from which on its busy time says what it could carry
WAITING_OVERDISPERSION = 4.0  # requests that wait in one queue are late together


@dataclass(frozen=True)
class Cost:
    """What is spent, over good answers."""

    spent: Signal
    what: str
    of_capacity: bool


BUSY = Cost(Signal.BUSY_RATIO, "busy seconds per answer", of_capacity=True)
CORES = Cost(Signal.CPU_USED_CORES, "CPU seconds per answer", of_capacity=True)
WATTS = Cost(Signal.GPU_POWER_WATTS, "GPU joules per answer", of_capacity=False)


def least_load(knob: Knob) -> float:
    """Return how busy the busier arm must be, as a ratio, for busy seconds per answer to tell capacity.

    A cache tells at any load: a hit takes no device time however busy that is, and where misses fill smaller batches
    than under load, the cache seems to bring less than it would there, never more.
    """
    return 0.0 if knob in CACHE_KNOBS else LEAST_LOAD


def judged_by_capacity(goal: Goal, objectives: Objectives | None) -> bool:
    """Say whether a goal is judged by what an answer costs a device, and not by latency or energy."""
    return goal is not Goal.MINIMIZE_ENERGY and _latency_rule(goal, objectives) is None


def goal_effect(
    arms: Arms, times: TrialTimes, goal: Goal, objectives: Objectives | None, confidence: float
) -> Effect | NotMeasured:
    """Measure the effect on what the goal makes smaller, with a two-sided interval at this confidence."""
    rule = _latency_rule(goal, objectives)
    if rule is not None:
        return _late_share(arms, rule, confidence)
    cost = cost_of(arms, goal)
    if cost is None:
        return NotMeasured(absent(goal))
    ratios = _log_ratios(arms, cost)
    before = within(ratios, arms, times.run_in_from, times.changed_at)
    after = within(ratios, arms, times.judged_from, times.judged_until)
    if len(before) < LEAST_RUN_IN_SLOTS:
        return NotMeasured(f"{len(before)} slots of the run-in have data of both arms; {LEAST_RUN_IN_SLOTS} are needed")
    if len(after) < LEAST_SLOTS:
        reason = f"{len(after)} slots since the change have data of both arms; {LEAST_SLOTS} are needed"
        return NotMeasured(reason, passing=True)
    found = shift(after, before, confidence, LEAST_ERROR)
    least_half = NormalDist().inv_cdf((1.0 + confidence) / 2.0) * LEAST_ERROR
    slots = (len(after), len(before))
    return Effect(cost.what, cost.of_capacity, found.point, found.low, found.high, *slots, least_half_width=least_half)


def _latency_rule(goal: Goal, objectives: Objectives | None) -> LatencyObjective | None:
    return objectives.latency if goal is Goal.MINIMIZE_LATENCY and objectives is not None else None


def detectable_effect(
    arms: Arms, goal: Goal, run_in: tuple[float, float], slots: int, confidence: float
) -> float | None:
    """Return the effect (a logarithm) that so many slots would tell from a run-in between two times (unix seconds).

    Infinity as long as the run-in has too few slots; None where nothing that stands for the goal's cost is measured.
    """
    cost = cost_of(arms, goal)
    if cost is None:
        return None
    before = within(_log_ratios(arms, cost), arms, *run_in)
    return detectable(before, slots, confidence, LEAST_ERROR) if len(before) >= LEAST_RUN_IN_SLOTS else math.inf


def cost_of(arms: Arms, goal: Goal) -> Cost | None:
    """Return what stands for the goal's cost in these arms; None where nothing that was read does."""
    choices: Iterable[Cost] = (WATTS,) if goal is Goal.MINIMIZE_ENERGY else (BUSY, CORES)
    return next((each for each in choices if _in_both(arms, each.spent)), None)


def good_rates(arms: Arms, pods: tuple[str, ...], spent: Signal) -> dict[int, tuple[float, float]]:
    """Return by slot what an arm spent per second and its good answers per second, over pods that have all of it."""
    sums = over_arm(arms, pods, (spent, Signal.REQUESTS_PER_SECOND, Signal.ERRORS_PER_SECOND))
    return {slot: (used, offered - failed) for slot, (used, offered, failed) in sums.items() if offered > failed}


def _in_both(arms: Arms, signal: Signal) -> bool:
    found = arms.slots.get(signal, {})
    return all(any(found.get(pod) for pod in pods) for pods in (arms.canary, arms.stable))


def absent(goal: Goal) -> str:
    """Say that nothing stands for the goal's cost."""
    if goal is Goal.MINIMIZE_ENERGY:
        return "the power of the GPUs is not measured in both arms"
    return "neither busy time nor CPU time is measured in both arms"


def _log_ratios(arms: Arms, cost: Cost) -> dict[int, float]:
    canary, stable = (good_rates(arms, pods, cost.spent) for pods in (arms.canary, arms.stable))
    ratios: dict[int, float] = {}
    for slot in canary.keys() & stable.keys():
        spent, good = canary[slot]
        spent_beside, good_beside = stable[slot]
        if spent > 0.0 or spent_beside > 0.0:
            ratios[slot] = bounded_log(spent * good_beside, spent_beside * good)
    return ratios


def bounded_log(upper: float, lower: float) -> float:
    """Return the logarithm of a ratio, within LARGEST_LOG_RATIO."""
    if lower <= 0.0 or upper <= 0.0:
        return LARGEST_LOG_RATIO if lower <= 0.0 else -LARGEST_LOG_RATIO
    return max(-LARGEST_LOG_RATIO, min(LARGEST_LOG_RATIO, math.log(upper / lower)))


def _late_share(arms: Arms, rule: LatencyObjective, confidence: float) -> Effect | NotMeasured:
    limit, signal = parse_duration_seconds(rule.max), Signal.LATENCY_SECONDS
    after = late(arms, arms.distributions.get(signal), limit)
    if after is None:
        return NotMeasured("the latency of requests is not measured in both arms", passing=True)
    before = late(arms, arms.run_in.get(signal), limit)
    found = log_share_ratio(after, before, confidence, WAITING_OVERDISPERSION)
    return Effect(f"share of requests over {rule.max}", False, found.point, found.low, found.high)


def late(arms: Arms, distribution: Distribution | None, limit: float) -> Shares | None:
    """Count the requests of both arms that took longer than the limit, seconds; None without data of both."""
    return bad_shares(arms, distribution, lambda each: histogram.count(each) - histogram.below(each, limit))
