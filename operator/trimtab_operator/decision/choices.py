"""The steps of a choice: every other word that may be tried, with what it is expected to bring."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab_api.engine_knobs import BASE_VARIANT, Knob
from trimtab_api.engine_settings import EngineSettings, Quantization
from trimtab_operator.decision import expectation
from trimtab_operator.decision.expectation import Expectation
from trimtab_operator.decision.facts import Facts
from trimtab_operator.decision.knob_values import value_of
from trimtab_operator.decision.steps import KnobStep

_UNMODIFIED = (Quantization.NONE.value, BASE_VARIANT)
"""Where a model came from: nothing is gained by going back, and guards do that by themselves."""

_GAINS = {
    Knob.QUANTIZATION: (Expectation(*expectation.FORMAT_GAIN), "weights of 8 bits take less time and memory"),
    Knob.VARIANT: (Expectation(*expectation.VARIANT_GAIN), "another model that the engine declares may take less time"),
    Knob.CACHE_EVICTION: (Expectation(*expectation.EVICTION_GAIN), "inputs come again after the cache dropped them"),
}


def choice_steps(knob: Knob, words: tuple[str, ...], current: EngineSettings, facts: Facts) -> Iterator[KnobStep]:
    """Yield the steps of a choice to each other word; none where it is not known how it stands."""
    at = value_of(current, knob)
    if at is None or (knob is Knob.CACHE_EVICTION and not _drops(current, facts)):
        return
    gain, why = _GAINS[knob]
    latency = expectation.of_faster_pass(gain) if facts.seeks_latency else None
    for word in words:
        if word not in (at, *_UNMODIFIED):
            yield KnobStep(knob, at, word, why, gain, latency)


def _drops(current: EngineSettings, facts: Facts) -> bool:
    """Say whether the cache is on and answers fewer inputs than were seen before."""
    on = value_of(current, Knob.CACHE_MEMORY)
    repeats, hits = facts.repeat_share, facts.hit_share
    return bool(on) and repeats is not None and hits is not None and hits < repeats
