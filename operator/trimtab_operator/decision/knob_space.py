"""What may be turned, and how far: the policy's bounds, or the runtime's safe set, inside what the engine accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab_api.engine_knobs import ENGINE_KNOBS, Knob
from trimtab_api.knobs import Batching, Knobs
from trimtab_api.quantities import parse_bytes, parse_duration_seconds
from trimtab_operator.runtimes.table import Runtime


@dataclass(frozen=True)
class KnobRange:
    """Smallest and largest value to try, in the knob's unit."""

    low: float
    high: float

    def nearest(self, value: float) -> float:
        """Cut a value to the range."""
        return max(self.low, min(self.high, value))


KnobSpace = Mapping[Knob, KnobRange]
"""The knobs that may be turned."""


QUALITY_KNOBS = (Knob.QUANTIZATION, Knob.VARIANT)
"""Knobs that change answers: turned only where objectives.accuracyRatio says how far."""

KnobWords = Mapping[Knob, tuple[str, ...]]
"""The words that may be tried for each choice."""


def knob_words(asked: Knobs | None, offered: KnobWords, *, has_accuracy: bool) -> KnobWords:
    """Return the words that the policy allows and all engines offer; choices are in no runtime's safe set."""
    if asked is None:
        return {}
    wanted: dict[Knob, tuple[str, ...]] = {}
    if asked.batching is not None and asked.batching.rule is not None:
        wanted[Knob.BATCHING] = asked.batching.rule.allowed
    if asked.cache is not None and asked.cache.eviction is not None:
        wanted[Knob.CACHE_EVICTION] = asked.cache.eviction.allowed
    if asked.quantization is not None and has_accuracy:
        wanted[Knob.QUANTIZATION] = asked.quantization.allowed
    if asked.variants is not None and has_accuracy:
        wanted[Knob.VARIANT] = asked.variants.allowed
    return {knob: tuple(word for word in words if word in offered.get(knob, ())) for knob, words in wanted.items()}


def knob_space(asked: Knobs | None, runtime: Runtime | None) -> KnobSpace:
    """Return the knobs that this policy lets us turn on this runtime; none where the runtime has none.

    A range of the policy that the engine accepts no value of is left out.
    """
    rows = runtime.knobs if runtime else ()
    safe = {row.knob: KnobRange(row.low, row.high) for row in rows if row.safe}
    wanted = safe if asked is None else _asked(asked)
    space: dict[Knob, KnobRange] = {}
    for row in rows:
        bounds, wish = ENGINE_KNOBS[row.knob], wanted.get(row.knob)
        if wish is not None and max(bounds.low, wish.low) <= min(bounds.high, wish.high):
            space[row.knob] = KnobRange(max(bounds.low, wish.low), min(bounds.high, wish.high))
    return space


def _asked(asked: Knobs) -> dict[Knob, KnobRange]:
    wanted = {} if asked.batching is None else _of_batching(asked.batching)
    memory = asked.cache.memory if asked.cache else None
    if memory is not None:
        wanted[Knob.CACHE_MEMORY] = KnobRange(0, parse_bytes(memory.max))
    return wanted


def _of_batching(asked: Batching) -> dict[Knob, KnobRange]:
    size, delay = asked.max_batch_size, asked.max_queue_delay
    tokens, target = asked.max_batch_tokens, asked.latency_target
    wanted: dict[Knob, KnobRange] = {}
    if size is not None:
        wanted[Knob.MAX_BATCH_SIZE] = KnobRange(size.min, size.max)
    if delay is not None:
        wanted[Knob.MAX_QUEUE_DELAY] = KnobRange(0.0, parse_duration_seconds(delay.max))
    if tokens is not None:
        wanted[Knob.MAX_BATCH_TOKENS] = KnobRange(tokens.min, tokens.max)
    if target is not None:
        wanted[Knob.LATENCY_TARGET] = KnobRange(*map(parse_duration_seconds, (target.min, target.max)))
    return wanted
