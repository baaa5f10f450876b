"""What a wish for a variant goes through, as generators over chores, and the nouns of its life. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import Chore
from trimtab_engine.variants.accuracy import Accuracy, Task
from trimtab_engine.variants.capture import InputSets
from trimtab_engine.variants.declared import Declared
from trimtab_engine.variants.drift import Traffic
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.gate import admit, judge
from trimtab_engine.variants.planner import FoundPlan, Wanted, search
from trimtab_engine.variants.probe import Course, Probe, variant_name
from trimtab_engine.variants.stand_in import stand_in

NONE = "None"


class Asked(NamedTuple):
    """What is asked for, or in force, in the words of the settings."""

    quantization: str = NONE
    variant: str = BASE_VARIANT


ORIGINAL = Asked()


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
    """What the settings ask for; `declared` is the variant of that name, None where this model has none."""

    quantization: str = NONE
    min_accuracy: float = 0.98
    variant: str = BASE_VARIANT
    declared: Declared | None = None

    @property
    def asked(self) -> Asked:
        """Format and variant."""
        return Asked(self.quantization, self.variant)

    @property
    def objection(self) -> str | None:
        """Why it cannot be pursued at all, or None."""
        if self.variant != BASE_VARIANT and self.quantization != NONE:
            return f"NotTogether: {self.variant} and {self.quantization} are asked for; accepted is one of them"
        if self.variant != BASE_VARIANT and self.declared is None:
            return f"NotDeclared: this model has no variant {self.variant}"
        return None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A variant that passed: its plan, its accuracy on the inputs of gate and report, and what is reported of both.

    `evidence` is of when it passed the gate: a timing in other batches later on changes `found` only.
    """

    variant: str
    asked: Asked
    found: FoundPlan
    gate: Accuracy
    report: Accuracy
    traffic: Traffic
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Standing:
    """What is published. `reason` is of a refusal ("NotFaster: ...") or of what is waited for.

    `evidence` is of what is in force, or was refused by the gate.
    """

    phase: Phase
    in_force: str
    settings: Asked  # really in force
    wish: Wish
    reason: str
    admitted: Admitted | None
    evidence: Evidence | None = None


@dataclass(slots=True)
class Running:
    """A course under way; `canceled` when its wish is gone, but the chore in hand must still be heard."""

    probe: Probe
    course: Course[Admitted]
    chore: Chore
    canceled: bool = False


def pursue(probe: Probe, wish: Wish, task: Task, sets: InputSets) -> Course[Admitted]:
    """Find a plan or load what is declared, gate it and report on it, each on its own inputs; it is left built.

    Raises:
        Refused: there is no such plan, or it does not keep the accuracy.
    """
    if wish.declared is not None:
        found = yield from stand_in(probe, wish.declared, task, wish.min_accuracy, sets.search)
    else:
        found = yield from search(probe, Wanted(wish.quantization, wish.min_accuracy, task, sets.search))
    return (yield from gated(probe, wish, task, sets, found))


def gated(probe: Probe, wish: Wish, task: Task, sets: InputSets, found: FoundPlan) -> Course[Admitted]:
    """Judge a built plan on the inputs of gate and report; raises Refused where it does not keep the accuracy."""
    variant = variant_name(found.plan)
    gate = yield from judge(probe, task, variant, sets.gate, 1)
    admit(gate.accuracy, wish.min_accuracy, "gate", found.speedup)
    report = yield from judge(probe, task, variant, sets.report, 2)
    admit(report.accuracy, wish.min_accuracy, "report", found.speedup)
    low = min(each.accuracy.agreement.measured.low for each in (gate, report))
    evidence = Evidence(low, gate.accuracy.samples + report.accuracy.samples, found.speedup.value)
    return Admitted(variant, wish.asked, found, gate.accuracy, report.accuracy, gate.traffic, evidence)


def rebuilt(probe: Probe, known: Admitted) -> Course[Admitted]:
    """Build a plan again that passed before: the same plan gives the same weights."""
    yield from probe.build(known.found.plan)
    return known


def repeatable(known: Admitted, wish: Wish) -> bool:
    """Whether it may be built again without the gate; the files of a declared model may be others by now."""
    return still_good(known, wish) and not isinstance(known.found.plan, Declared)


def still_good(known: Admitted, wish: Wish) -> bool:
    """Whether what passed before keeps the accuracy that is asked for now."""
    lows = (known.gate.agreement.measured.low, known.report.agreement.measured.low)
    return min(lows) >= wish.min_accuracy
