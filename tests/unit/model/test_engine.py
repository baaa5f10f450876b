"""One engine as its NodeTuning shows it."""

from __future__ import annotations

import pytest
from fakes.builders import CANARY, STABLE, an_engine

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.trial import Change
from trimtab_operator.model.engine import EngineState

AS_STARTED = EngineSettings()


def test_what_is_still_under_way_is_not_in_force() -> None:
    searching = an_engine(CANARY, pending={"quantization": "Int8"})
    assert not searching.runs(CANARY)
    assert searching.under_way() == "quantization Int8: Searching"
    assert an_engine(CANARY).under_way() is None
    assert EngineState().under_way() is None


def test_what_was_found_in_shadow_is_that_of_one_change() -> None:
    row = ShadowedSetting(setting="quantization", value="Int8", accuracy_low="0.99", min_accuracy="0.98", inputs=512)
    told = an_engine(CANARY, shadowed=(row,))
    assert told.shadowed(Change(knob=Knob.QUANTIZATION, from_="None", to="Int8")) == row
    assert told.shadowed(Change(knob=Knob.QUANTIZATION, from_="None", to="FP8")) is None
    assert told.shadowed(Change(knob=Knob.VARIANT, from_="base", to="Int8")) is None
    assert EngineState().shadowed(Change(knob=Knob.QUANTIZATION, from_="None", to="Int8")) is None


def test_the_words_of_a_choice_are_those_that_the_engine_declares() -> None:
    declared = an_engine(words={"quantization": ["None", "Int8"]})
    assert declared.words(Knob.QUANTIZATION) == ("None", "Int8")
    assert declared.words(Knob.VARIANT) == ()
    assert EngineState().words(Knob.VARIANT) == ()


def test_an_engine_that_has_not_answered_says_nothing() -> None:
    silent = EngineState(an_engine().entry)
    assert not silent.attached
    assert silent.applied is None
    assert silent.refusal() is None
    assert not silent.runs(AS_STARTED)


@pytest.mark.parametrize("attached", [True, False])
def test_an_engine_is_attached_while_its_condition_says_so(attached: bool) -> None:
    assert an_engine(attached=attached).attached is attached


def test_a_report_without_the_condition_is_no_attachment() -> None:
    known = an_engine()
    assert known.report is not None
    assert not EngineState(known.entry, known.report.model_copy(update={"conditions": ()})).attached


def test_an_engine_runs_the_document_that_it_put_in_force_and_no_other() -> None:
    assert an_engine(CANARY).runs(CANARY)
    assert not an_engine(CANARY).runs(STABLE)
    as_started = an_engine()
    assert as_started.runs(AS_STARTED)
    assert as_started.applied == STABLE
    assert not as_started.runs(STABLE), "the same values by another document are not an answer to it"


def test_a_refusal_names_each_value_and_why() -> None:
    refused = an_engine(refused={"maxBatchSize": "512", "cacheMemory": "9Ti"})
    assert refused.refusal() == "maxBatchSize 512: too large; cacheMemory 9Ti: too large"
    assert an_engine().refusal() is None


def test_a_refusal_of_earlier_settings_says_nothing_against_these() -> None:
    refused = an_engine(refused={"maxBatchSize": "512", "cacheMemory": "0"})
    assert refused.refusal(of=STABLE) == "cacheMemory 0: too large"
    assert refused.refusal(of=CANARY.model_copy(update={"cache_memory": "1Gi"})) is None
