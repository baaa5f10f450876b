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
    MAX_BATCH_TOKENS = "maxBatchTokens"
    BATCHING = "batching"
    LATENCY_TARGET = "latencyTarget"
    CACHE_EVICTION = "cacheEviction"
    QUANTIZATION = "quantization"
    VARIANT = "variant"
    MIN_ACCURACY = "minAccuracy"


class Unit(StrEnum):
    """How a value is written, and what its number counts."""

    ITEMS = "items"
    SECONDS = "seconds"  # written as a duration, such as 5ms
    BYTES = "bytes"  # written as a quantity, such as 64Mi
    RATIO = "ratio"  # written as a decimal from 0 to 1, such as 0.98
    CHOICE = "choice"  # one of several words


class ChangeCost(StrEnum):
    """What it takes to put another value in force."""

    HOT = "hot"  # between two batches
    CLONE = "clone"  # a second copy of the model for a while
    RESTART = "restart"  # a new process


@dataclass(frozen=True, slots=True)
class KnobSpec:
    """One row of the table; `low` and `high` are accepted values, in the unit, `allowed` the words of a choice.

    A choice without words here takes names that each engine declares by itself.
    """

    knob: Knob
    unit: Unit
    low: float
    high: float
    cost: ChangeCost
    meaning: str
    allowed: tuple[str, ...] = ()


def _choice(knob: Knob, cost: ChangeCost, meaning: str, allowed: tuple[str, ...]) -> KnobSpec:
    return KnobSpec(knob, Unit.CHOICE, 0, 0, cost, meaning, allowed)


BASE_VARIANT: Final = "base"
"""The variant that every engine has: the model as it was deployed."""

CACHE_KNOBS: Final = (Knob.CACHE_MEMORY, Knob.CACHE_EVICTION)
"""The knobs of the response cache: a change of one empties or refills it."""

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
        KnobSpec(
            Knob.MAX_BATCH_TOKENS,
            Unit.ITEMS,
            0,
            1 << 20,
            ChangeCost.HOT,
            "Most tokens in one pass, padding included; 0 sets no limit.",
        ),
        _choice(
            Knob.BATCHING,
            ChangeCost.HOT,
            "Who decides when a batch goes: Manual = size and delay as set, Adaptive = the engine, by its latency.",
            ("Manual", "Adaptive"),
        ),
        KnobSpec(
            Knob.LATENCY_TARGET,
            Unit.SECONDS,
            0.001,
            60.0,
            ChangeCost.HOT,
            "Latency within which Adaptive batching may wait for more requests.",
        ),
        _choice(
            Knob.CACHE_EVICTION,
            ChangeCost.HOT,
            "Which answers leave a full cache; Auto takes the rule that hits more often.",
            ("Auto", "LRU", "S3FIFO"),
        ),
        _choice(
            Knob.QUANTIZATION,
            ChangeCost.CLONE,
            "Number format of the weights; None is the model as it was deployed.",
            ("None", "Int8", "FP8"),
        ),
        _choice(Knob.VARIANT, ChangeCost.CLONE, "Which of the declared models answers; base is the original.", ()),
        KnobSpec(
            Knob.MIN_ACCURACY,
            Unit.RATIO,
            0.0,
            1.0,
            ChangeCost.HOT,
            "Least agreement with the unmodified model by which another format or variant is taken.",
        ),
    )
}
