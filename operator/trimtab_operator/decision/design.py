"""How a change is tried: a pure function of the change, of how many pods may be compared, and of what a person allows.

Two pods or more: a paired canary, both arms in the same minutes. One pod: a switchback, where a switch takes effect
between two batches and leaves nothing behind; else a surge, where one replica more may be added. Otherwise not at all,
with the reason. Where a replica was added for a trial, what is tried beside it is a surge, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_api.engine_knobs import CACHE_KNOBS, ENGINE_KNOBS, ChangeCost
from trimtab_api.trial import TrialDesign
from trimtab_api.trial_rules import DesignRule
from trimtab_operator.analysis import pods, switch_schedule, trial_time
from trimtab_operator.analysis.goal_effect import judged_by_capacity, least_load
from trimtab_operator.analysis.trust import interval_seconds
from trimtab_operator.decision.candidates import Candidate
from trimtab_operator.decision.ground import Ground, Held
from trimtab_operator.decision.surge import may_surge, vain_surge
from trimtab_operator.model.signals import Signal

FEWEST_PAIRED_PODS = 2
_NEEDS_TWO = "NeedsTwoReplicas"


@dataclass(frozen=True)
class DesignedCandidate:
    """A candidate, and how it can be tried on the pods that there are."""

    candidate: Candidate
    design: TrialDesign


def first_testable(candidates: tuple[Candidate, ...], ground: Ground) -> DesignedCandidate | Held:
    """Return the best of at least one candidate that this ground can try; else (reason, sentence) of the best."""
    designs = [(candidate, design_for(candidate, ground)) for candidate in candidates]
    found = (DesignedCandidate(candidate, design) for candidate, design in designs if isinstance(design, TrialDesign))
    refused = (design for _, design in designs if not isinstance(design, TrialDesign))
    return next(found, None) or next(refused)


def design_for(candidate: Candidate, ground: Ground) -> TrialDesign | Held:
    """Return how a change is tried on this ground, or why it cannot be."""
    told: list[Held] = []
    for design in _in_order(ground):
        held = _RULES[design](candidate, ground)
        if held is None:
            return design
        told.append(held)
    reason, sentence = next((held for held in told if held[0] != _NEEDS_TWO), told[0])
    allowed = ground.policy.spec.trial.design
    if allowed is DesignRule.AUTO:
        return reason, sentence
    return "RuledOutByDesign" if reason == _NEEDS_TWO else reason, f"spec.trial.design is {allowed}: {sentence}"


def _in_order(ground: Ground) -> tuple[TrialDesign, ...]:
    """Return the designs to look at, the best first."""
    allowed = ground.policy.spec.trial.design
    if allowed is not DesignRule.AUTO:
        return (TrialDesign(allowed.value),)
    if ground.surge is not None:
        return (TrialDesign.SURGE,)
    usual = (TrialDesign.PAIRED_CANARY, TrialDesign.SWITCHBACK)
    return (*usual, TrialDesign.SURGE) if may_surge(ground.policy, ground.target.replicas) else usual


def _paired(candidate: Candidate, ground: Ground) -> Held | None:
    if len(ground.pods) < FEWEST_PAIRED_PODS:
        return _needs_two(candidate, ground)
    return _too_seldom(ground, len(ground.target.ready_pods))


def _in_turns(candidate: Candidate, ground: Ground) -> Held | None:
    if len(ground.pods) >= FEWEST_PAIRED_PODS:
        return (
            "RuledOutByDesign",
            f"one pod alone takes turns with its old and new settings, and {len(ground.pods)} serve",
        )
    if len(ground.pods) < 1 or _trace(candidate) is not None:
        return _needs_two(candidate, ground)
    rules, scrape = ground.policy.spec.trial, interval_seconds(ground.snapshot)
    short = switch_schedule.too_few_pairs(rules, scrape)
    if short is not None:
        return "TrialWindowTooShort", short
    return _too_seldom(ground, 1, switch_schedule.measured_seconds(rules, scrape), "setting")


def _surge(candidate: Candidate, ground: Ground) -> Held | None:
    """Compare where the replica that was added serves; else see whether one can be added, and would be of use."""
    added, wanted = ground.surge is None, f"{candidate.change_summary} is worth a trial, for which one more replica"
    lacking = _no_room(ground) if added else None
    if lacking is not None:
        return "NoRoomForSurge", f"{wanted} is needed: {lacking}"
    ready = len(ground.target.ready_pods)
    compared = ready + int(added)
    busy, least = _utilization(ground) * ready / compared, least_load(candidate.change.knob)
    if judged_by_capacity(ground.policy.spec.goal, ground.policy.spec.objectives) and busy < least:
        return "TooLittleLoad", f"{wanted} leaves each {busy:.0%} busy; what it brings shows from {least:.0%} on"
    return _too_seldom(ground, compared) if added else _paired(candidate, ground)


_RULES: dict[TrialDesign, Callable[[Candidate, Ground], Held | None]] = {
    TrialDesign.PAIRED_CANARY: _paired,
    TrialDesign.SWITCHBACK: _in_turns,
    TrialDesign.SURGE: _surge,
}


def _needs_two(candidate: Candidate, ground: Ground) -> Held:
    lacking = _trace(candidate) or f"{len(ground.pods)} can be compared"
    wanted = f"{candidate.change_summary} is worth a trial, for which two serving pods are needed"
    return _NEEDS_TWO, f"{wanted}: {lacking}"


def _trace(candidate: Candidate) -> str | None:
    """Return why one pod alone cannot take turns with a change; None where a switch leaves nothing behind."""
    if ENGINE_KNOBS[candidate.change.knob].cost is not ChangeCost.HOT:
        return "one alone cannot take turns with a change that takes the engine minutes"
    if candidate.change.knob in CACHE_KNOBS:
        return "one alone cannot take turns with a change that empties or refills its cache"
    return None


def _no_room(ground: Ground) -> str | None:
    """Return why no replica can be added for a trial in this search; None where one can."""
    scaling, replicas = ground.policy.spec.scaling, ground.target.replicas
    if scaling is None:
        return "spec.scaling is absent"
    if replicas >= scaling.max_replicas:
        return f"spec.scaling.maxReplicas is {scaling.max_replicas}"
    vain = vain_surge(ground.policy.status, ground.search)
    return None if vain is None else f"one was added for a trial and taken back: {vain.why}"


def _utilization(ground: Ground) -> float:
    carried = ground.analysis.capacity
    return 0.0 if carried is None else carried.utilization_ratio


def _too_seldom(ground: Ground, shared_by: int, seconds: float | None = None, arm: str = "pod") -> Held | None:
    """Hold where no trial could end with a verdict: a quiet night must not spend the search. Unknown is too little."""
    rules, offered = ground.policy.spec.trial, pods.total(ground.snapshot, Signal.REQUESTS_PER_SECOND)
    longest = trial_time.longest_window(rules) if seconds is None else seconds
    if (offered or 0.0) / max(1, shared_by) * longest >= rules.min_requests:
        return None
    wanted = f"{rules.min_requests} for one {arm} (trial.minRequests)"
    return "TooLittleTraffic", f"requests come too seldom: {wanted} would take longer than trial.maxWindow"
