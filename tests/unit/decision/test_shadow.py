"""Which changes an engine looks at in shadow before they answer a request."""

from __future__ import annotations

from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob
from trimtab_operator.decision.shadow import is_shadowed


def test_only_what_alters_answers_goes_through_shadow() -> None:
    assert {knob for knob in ENGINE_KNOBS if is_shadowed(knob)} == {Knob.QUANTIZATION, Knob.VARIANT}


def test_nothing_that_takes_effect_between_two_batches_waits_for_it() -> None:
    assert not any(is_shadowed(knob) for knob, spec in ENGINE_KNOBS.items() if spec.cost is ChangeCost.HOT)
