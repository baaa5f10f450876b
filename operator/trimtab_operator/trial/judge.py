"""The verdict on a trial, from both arms side by side. Pure.

A guard that the canary breaches while it is worse than the stable arm ends the trial at any time. All else is judged
at looks only (looks.py), by the interval of the goal's effect: improved or regressed when it is at least minEffect and
its interval leaves out 0; of no use when an effect of minEffect, either way, has become improbable; else the next look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from trimtab_api.quantities import parse_ratio
from trimtab_api.trial import Observed, Verdict
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis.goal_effect import LEAST_LOAD
from trimtab_operator.analysis.guard_comparison import LEAST_ERRORS, LEAST_REQUESTS
from trimtab_operator.model.comparison import Comparison, Effect, GuardComparison, NotMeasured
from trimtab_operator.trial.looks import Look
from trimtab_operator.trial.observed import change_of, percent, rows, summary

LEAST_SHARE, LARGEST_SHARE = 0.5, 2.0
DOUBTFUL = 0.05
MOST_SECONDS = 86_400.0  # that spec.trial.maxWindow may be
FUTILE = 0.05  # one-sided: an effect that would have been worth it is given up
_NORMAL = NormalDist()


@dataclass(frozen=True)
class Judgement:
    """What a look at a trial says. `verdict` None: it goes on. `reason` is a sentence for status either way."""

    verdict: Verdict | None
    reason: str
    observed: tuple[Observed, ...]
    summary: str
    violation: bool = False


def judge(comparison: Comparison, rules: TrialRules, look: Look, least_load: float = LEAST_LOAD) -> Judgement:
    """Judge a trial at this look, or between looks (number 0), where only the guards speak.

    `least_load` is how busy the busier arm must be to tell capacity.
    """
    broken = next((guard for guard in comparison.guards if _ends(guard)), None)
    if broken is not None:
        verdict, reason = Verdict.REGRESSED, breach(broken)
    elif look.number == 0:
        verdict, reason = None, f"{look.seconds:.0f} s measured; the first look is after {rules.window}"
    else:
        verdict, reason = _at_look(comparison, rules, look, least_load)
    seen, said = rows(comparison.beside, comparison.goal), summary(comparison.goal, broken)
    return Judgement(verdict, reason, seen, said, violation=broken is not None)


def _ends(guard: GuardComparison) -> bool:
    if not guard.breached or guard.samples < LEAST_REQUESTS:
        return False
    fails = guard.name == "errorRatio" and guard.bad >= LEAST_ERRORS and guard.chance < DOUBTFUL
    return guard.worse or (fails and not guard.stable_breached)


def breach(guard: GuardComparison) -> str:
    """Say how a guard was broken."""
    return (
        f"{guard.name}: {guard.canary:.1%} in the canary against {guard.stable:.1%} beside it, {guard.limit:.1%} "
        f"allowed, over {guard.samples:.0f} requests"
    )


def _at_look(comparison: Comparison, rules: TrialRules, look: Look, least_load: float) -> tuple[Verdict | None, str]:
    share = comparison.request_share_ratio
    total = comparison.canary_requests + comparison.stable_requests
    if share is not None and total >= rules.min_requests and _unfair(share, comparison):
        return Verdict.NOT_COMPARABLE, (
            f"the canary got {share:.2f} times its fair share of the requests ({comparison.canary_requests:.0f} of "
            f"{total:.0f}): clients that keep their connections, or weights, send them elsewhere"
        )
    fewest = min(comparison.canary_requests, comparison.stable_requests)
    if fewest < rules.min_requests:
        text = f"{fewest:.0f} requests in an arm after {look.seconds:.0f} s; {rules.min_requests} are needed"
        needed = look.seconds * rules.min_requests / fewest if fewest > 0.0 else None
        return _wait(look, f"{text} (spec.trial.minRequests)", needed)
    goal = comparison.goal
    if isinstance(goal, NotMeasured):
        waits = goal.passing and not look.last
        return (None if waits else Verdict.NOT_IDENTIFIABLE), goal.reason
    if goal.of_capacity and (comparison.load_ratio or 0.0) < least_load:
        return Verdict.NOT_IDENTIFIABLE, _idle(comparison.load_ratio)
    return _by_effect(goal, comparison, rules, look)


def _unfair(share: float, comparison: Comparison) -> bool:
    """Tell whether the canary was sent too few requests or too many; a busy one that ends few is slow, not spared."""
    load = comparison.canary_load_ratio
    swamped = load is not None and load >= LEAST_LOAD and load == comparison.load_ratio
    return share > LARGEST_SHARE or (share < LEAST_SHARE and not swamped)


def _idle(load: float | None) -> str:
    if load is None:
        return "how busy the arms are is not measured, and capacity shows only under load"
    return f"the busier arm was {load:.0%} busy; capacity shows from {LEAST_LOAD:.0%} on"


def _by_effect(goal: Effect, comparison: Comparison, rules: TrialRules, look: Look) -> tuple[Verdict | None, str]:
    least = math.log1p(parse_ratio(rules.min_effect))
    text = _sentence(goal)
    if goal.log_ratio >= least and goal.low > 0.0:
        return Verdict.REGRESSED, f"{text}: worse"
    if goal.log_ratio <= -least and goal.high < 0.0:
        doubtful = next((each for each in comparison.guards if each.chance < DOUBTFUL), None)
        if doubtful is None:
            return Verdict.IMPROVED, f"{text}: better, and no guard is worse"
        worse = f"{doubtful.name} seems worse ({doubtful.canary:.1%} against {doubtful.stable:.1%})"
        return _wait(look, f"{text}: better, but {worse}")
    if _too_small(goal, least, look):
        return Verdict.INCONCLUSIVE, f"{text}: a difference of {rules.min_effect} (minEffect) is improbable"
    return _wait(look, f"{text}: not clear yet", _needed_seconds(goal, least, look.seconds))


def _too_small(goal: Effect, least: float, look: Look) -> bool:
    """Say whether an effect of `least`, either way, has become improbable; to give up too early promotes nothing."""
    narrower = _NORMAL.inv_cdf(1.0 - FUTILE) / _NORMAL.inv_cdf(1.0 - look.error)
    low, high = (goal.log_ratio + narrower * (end - goal.log_ratio) for end in (goal.low, goal.high))
    return -least < low and high < least


def _wait(look: Look, reason: str, needed: float | None = None) -> tuple[Verdict | None, str]:
    """Wait for the next look; after the last one, say what maxWindow (seconds) would have been needed, where known."""
    if not look.last:
        return None, reason
    over = f"{reason}, and spec.trial.maxWindow is over"
    if needed is None:
        return Verdict.INCONCLUSIVE, over
    if needed > MOST_SECONDS:
        return Verdict.INCONCLUSIVE, f"{over}: none of up to 24h would tell so little"
    minutes = math.ceil(max(needed, look.seconds + 1.0) / 60.0)
    return Verdict.INCONCLUSIVE, f"{over}: about {minutes}m would have been needed"


def _needed_seconds(goal: Effect, least: float, measured: float) -> float:
    """Return after how many seconds an effect like this one would be told, or one of `least` where it is smaller.

    The interval narrows with the root of the time, as the run-in grows with maxWindow too; infinity where no time is
    enough, for pods wander.
    """
    size, half = max(abs(goal.log_ratio), least), (goal.high - goal.low) / 2.0
    return math.inf if size <= goal.least_half_width else measured * (half / size) ** 2


def _sentence(goal: Effect) -> str:
    low, high = percent(change_of(goal.low)), percent(change_of(goal.high))
    slots = f" over {goal.slots} slots after {goal.run_in_slots} of run-in" if goal.slots else ""
    slots = f" over {goal.pairs} pairs of periods" if goal.pairs else slots
    return f"{goal.what} {percent(change_of(goal.log_ratio))} ({low} to {high}){slots}"
