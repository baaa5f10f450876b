"""What a process of several models reports about settings whose effect takes time."""

from __future__ import annotations

from dataclasses import replace

from trimtab_api.engine_knobs import Knob
from trimtab_api.wire import ShadowedSetting
from trimtab_engine.agent_link.slow import SlowSettings
from trimtab_engine.slow_of_models import SlowReports, slow_of_all

AS_ASKED = SlowSettings()
SEARCHED = SlowSettings(
    {Knob.QUANTIZATION: "None"}, pending=({"setting": "quantization", "value": "Int8", "phase": "Searching"},)
)
REFUSED = SlowSettings(
    {Knob.QUANTIZATION: "None"},
    refused=({"setting": "quantization", "value": "Int8", "reason": "NotFaster: by no plan"},),
)
NO_LAYERS = SlowSettings(
    {Knob.QUANTIZATION: "None"}, refused=({"setting": "quantization", "value": "Int8", "reason": "NoModule: -"},)
)


def seen(low: str) -> ShadowedSetting:
    return {"setting": "quantization", "value": "Int8", "accuracyLow": low, "minAccuracy": "0.98", "inputs": 512}


def test_of_what_was_found_in_shadow_the_model_counts_that_agrees_least() -> None:
    found = {low: SlowSettings(shadowed=(seen(low),)) for low in ("0.991", "0.985", "0.999")}
    assert slow_of_all(found) == found["0.985"]


def test_what_was_found_of_a_model_that_was_refused_says_nothing_of_the_one_in_force() -> None:
    refused = replace(REFUSED, shadowed=(seen("0.91"),))
    in_force = SlowSettings(shadowed=(seen("0.985"),))
    assert slow_of_all({"a": refused, "b": in_force}) == in_force
    assert slow_of_all({"a": refused, "b": SEARCHED}) == SEARCHED
    assert slow_of_all({"a": refused, "b": NO_LAYERS}) == refused


def test_it_is_pending_while_it_is_for_one_model() -> None:
    assert slow_of_all({"a": AS_ASKED, "b": SEARCHED, "c": REFUSED}) == SEARCHED


def test_it_is_in_force_once_a_model_has_it_though_others_cannot() -> None:
    assert slow_of_all({"a": NO_LAYERS, "b": AS_ASKED}) == AS_ASKED


def test_it_is_refused_with_one_reason_where_no_model_has_it() -> None:
    assert slow_of_all({"a": REFUSED, "b": NO_LAYERS}) == REFUSED


def test_one_model_reports_what_it_tells() -> None:
    for slow in (AS_ASKED, SEARCHED, REFUSED):
        assert slow_of_all({"a": slow}) == slow


def test_nothing_is_reported_before_every_model_has_told() -> None:
    heard: list[SlowSettings] = []
    reports = SlowReports(["a", "b"], heard.append)
    reports.heard("a", REFUSED)
    assert heard == []
    reports.heard("b", SEARCHED)
    reports.heard("b", AS_ASKED)
    assert heard == [SEARCHED, AS_ASKED]
