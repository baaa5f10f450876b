"""What a wish for a variant goes through, as generators over chores, and the nouns of its life. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from trimtab_engine.variants.accuracy import Accuracy, Task
from trimtab_engine.variants.capture import InputSets
from trimtab_engine.variants.drift import Traffic
from trimtab_engine.variants.gate import admit, judge
from trimtab_engine.variants.planner import FoundPlan, Wanted, search
from trimtab_engine.variants.probe import Course, Probe, variant_name

NONE = "None"


class Phase(StrEnum):
    """How it stands with the wish."""

    ORIGINAL = "Original"
    WAITING = "WaitingForInputs"
    NO_MEMORY = "WaitingForMemory"
    SEARCHING = "Searching"
    IN_FORCE = "InForce"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings ask for."""

    quantization: str = NONE
    min_accuracy: float = 0.98


@dataclass(frozen=True, slots=True)
class Admitted:
    """A variant that passed: its plan, and its accuracy on the inputs of gate and report."""

    variant: str
    quantization: str
    found: FoundPlan
    gate: Accuracy
    report: Accuracy
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Standing:
    """What is published. `reason` is of a refusal ("NotFaster: ...") or of what is waited for."""

    phase: Phase
    in_force: str
    quantization: str  # really in force
    wish: Wish
    reason: str
    admitted: Admitted | None


def pursue(probe: Probe, wish: Wish, task: Task, sets: InputSets) -> Course[Admitted]:
    """Find a plan, gate it and report on it, each on its own inputs; the variant is left built.

    Raises:
        Refused: there is no such plan, or it does not keep the accuracy.
    """
    found = yield from search(probe, Wanted(wish.quantization, wish.min_accuracy, task, sets.search))
    return (yield from gated(probe, wish, task, sets, found))


def gated(probe: Probe, wish: Wish, task: Task, sets: InputSets, found: FoundPlan) -> Course[Admitted]:
    """Judge a built plan on the inputs of gate and report; raises Refused where it does not keep the accuracy."""
    variant = variant_name(found.plan)
    gate = yield from judge(probe, task, variant, sets.gate, 1)
    admit(gate.accuracy, wish.min_accuracy, "gate")
    report = yield from judge(probe, task, variant, sets.report, 2)
    admit(report.accuracy, wish.min_accuracy, "report")
    return Admitted(variant, wish.quantization, found, gate.accuracy, report.accuracy, gate.traffic)


def rebuilt(probe: Probe, known: Admitted) -> Course[Admitted]:
    """Build a plan again that passed before: the same plan gives the same weights."""
    yield from probe.build(known.found.plan)
    return known


def still_good(known: Admitted, wish: Wish) -> bool:
    """Whether what passed before keeps the accuracy that is asked for now."""
    lows = (known.gate.agreement.measured.low, known.report.agreement.measured.low)
    return min(lows) >= wish.min_accuracy
