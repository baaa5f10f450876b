"""How a change is tried: a pure function of the change and of how many pods may be compared.

Two pods or more: a paired canary, both arms in the same minutes. One pod: a switchback, where a switch takes effect
between two batches and leaves nothing behind. Otherwise not at all, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob
from trimtab_api.trial import TrialDesign
from trimtab_operator.decision.candidates import Candidate

FEWEST_PAIRED_PODS = 2
_OF_CACHE = (Knob.CACHE_MEMORY, Knob.CACHE_EVICTION)


@dataclass(frozen=True)
class DesignedCandidate:
    """A candidate, and how it can be tried on the pods that there are."""

    candidate: Candidate
    design: TrialDesign


def first_testable(candidates: tuple[Candidate, ...], pods: int) -> DesignedCandidate | tuple[str, str]:
    """Return the best of at least one candidate that so many pods can try; else (reason, sentence) of the best."""
    designs = [(candidate, design_for(candidate.change.knob, pods)) for candidate in candidates]
    found = (DesignedCandidate(candidate, design) for candidate, design in designs if isinstance(design, TrialDesign))
    best, refusal = designs[0]
    why = f"{best.change_summary} is worth a trial, for which two serving pods are needed: {refusal}"
    return next(found, ("NeedsTwoReplicas", why))


def design_for(knob: Knob, pods: int) -> TrialDesign | str:
    """Return how a change of this knob is tried on so many comparable pods, or why it cannot be on so few."""
    if pods >= FEWEST_PAIRED_PODS:
        return TrialDesign.PAIRED_CANARY
    if pods < 1:
        return "none can be compared"
    if ENGINE_KNOBS[knob].cost is not ChangeCost.HOT:
        return "one alone cannot take turns with a change that takes the engine minutes"
    if knob in _OF_CACHE:
        return "one alone cannot take turns with a change that empties or refills its cache"
    return TrialDesign.SWITCHBACK
