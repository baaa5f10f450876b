"""The steps of a choice: every other word that may be tried, with what it is expected to bring."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trimtab_api.engine_knobs import BASE_VARIANT, Knob
from trimtab_api.engine_settings import BatchingRule, EngineSettings, Quantization
from trimtab_operator.decision import expectation
from trimtab_operator.decision.expectation import Expectation
from trimtab_operator.decision.facts import Facts
from trimtab_operator.decision.knob_values import value_of
from trimtab_operator.decision.steps import KnobStep, fuller_batches

_UNMODIFIED = (Quantization.NONE.value, BASE_VARIANT)
"""Where a model came from: nothing is gained by going back, and guards do that by themselves."""

_Promise = tuple[str, Expectation, Expectation | None]
"""Why, and what is expected of capacity and, where that is sought, of latency."""


def choice_steps(knob: Knob, words: tuple[str, ...], current: EngineSettings, facts: Facts) -> Iterator[KnobStep]:
    """Yield the steps of a choice to each other word that promises something; none where its state is not known."""
    at = value_of(current, knob)
    if at is None:
        return
    for word in words:
        promise = None if word in (at, *_UNMODIFIED) else _PROMISES[knob](word, current, facts)
        if promise is not None:
            yield KnobStep(knob, at, word, *promise)


def _format(_word: str, current: EngineSettings, facts: Facts) -> _Promise | None:
    if current.variant not in (None, BASE_VARIANT):
        return None  # engines take either: an original in another format, or a stand-in as it was declared
    return _faster("weights of 8 bits take less time and memory", expectation.FORMAT_GAIN, facts)


def _variant(_word: str, current: EngineSettings, facts: Facts) -> _Promise | None:
    if current.quantization not in (None, Quantization.NONE):
        return None
    return _faster("another model that the engine declares may take less time", expectation.VARIANT_GAIN, facts)


def _eviction(_word: str, current: EngineSettings, facts: Facts) -> _Promise | None:
    """Promise something where the cache is on and answers fewer inputs than were seen before: it has dropped some."""
    on, repeats, hits = value_of(current, Knob.CACHE_MEMORY), facts.repeat_share, facts.hit_share
    if not on or repeats is None or hits is None or hits >= repeats:
        return None
    return _faster("inputs come again after the cache dropped them", expectation.EVICTION_GAIN, facts)


def _batching(word: str, current: EngineSettings, facts: Facts) -> _Promise | None:
    if word == BatchingRule.ADAPTIVE:
        why, latency = "the engine learns how long passes take", Expectation(*expectation.ADAPTIVE_LATENCY)
        return (why, expectation.NO_CHANGE, latency) if facts.seeks_latency else None
    fuller = fuller_batches(facts, current)
    return None if fuller is None else ("requests wait, and the engine keeps batches small", fuller, None)


def _faster(why: str, gain: tuple[float, float, float], facts: Facts) -> _Promise:
    capacity = Expectation(*gain)
    return why, capacity, expectation.of_faster_pass(capacity) if facts.seeks_latency else None


_PROMISES: dict[Knob, Callable[[str, EngineSettings, Facts], _Promise | None]] = {
    Knob.QUANTIZATION: _format,
    Knob.VARIANT: _variant,
    Knob.CACHE_EVICTION: _eviction,
    Knob.BATCHING: _batching,
}
