"""The knobs of our own engine: unit, bounds and what a change costs. Engine, operator and docs read this one table.

Plain data without pydantic: the engine's front process imports it at every start.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Knob(StrEnum):
    """One engine setting; the values are the field names of EngineSettings."""

    MAX_BATCH_SIZE = "maxBatchSize"
    MAX_QUEUE_DELAY = "maxQueueDelay"
    CACHE_MEMORY = "cacheMemory"


class Unit(StrEnum):
    """How a value is written, and what its number counts."""

    ITEMS = "items"
    SECONDS = "seconds"  # written as a duration, such as 5ms
    BYTES = "bytes"  # written as a quantity, such as 64Mi


class ChangeCost(StrEnum):
    """What it takes to put another value in force."""

    HOT = "hot"  # between two batches
    CLONE = "clone"  # a second copy of the model for a while
    RESTART = "restart"  # a new process


@dataclass(frozen=True, slots=True)
class KnobSpec:
    """One row of the table; `low` and `high` are accepted values, in the unit."""

    knob: Knob
    unit: Unit
    low: float
    high: float
    cost: ChangeCost
    meaning: str


ENGINE_KNOBS: Final[dict[Knob, KnobSpec]] = {
    spec.knob: spec
    for spec in (
        KnobSpec(Knob.MAX_BATCH_SIZE, Unit.ITEMS, 1, 256, ChangeCost.HOT, "Most items in one pass through the model."),
        KnobSpec(
            Knob.MAX_QUEUE_DELAY,
            Unit.SECONDS,
            0.0,
            10.0,
            ChangeCost.HOT,
            "Longest time that a batch which is not full waits for more.",
        ),
        KnobSpec(
            Knob.CACHE_MEMORY,
            Unit.BYTES,
            0,
            1 << 40,
            ChangeCost.HOT,
            "Memory budget of the response cache; 0 turns it off.",
        ),
    )
}
