"""Reports of engines: what is taken is what the kind NodeTuning takes, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.agent_wire import REPORT

from trimtab_agent.engines import reports
from trimtab_agent.engines.reports import BadReportError, read_report
from trimtab_api import quantities, texts
from trimtab_api.engine_knobs import ENGINE_KNOBS, Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import DeclaredKnob, EngineReport
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.wire import MAX_PENDING, MAX_REFUSED

HASH = "0123456789abcdef"
FULL: dict[str, Any] = {
    "version": {"uid": "u", "generation": 3, "hash": HASH},
    "applied": {"maxBatchSize": 1024, "maxQueueDelay": "1h30m", "cacheMemory": "1.5Gi", "maxBatchTokens": 0,
                "batching": "Adaptive", "quantization": "Int8", "variant": "distilled-3l", "minAccuracy": "0.98"},
    "appliedHash": HASH,
    "refused": [{"setting": "maxBatchSize", "value": "4096", "reason": "more than 256"},
                {"setting": "settings", "value": "x", "reason": ""}],
    "pending": [{"setting": "quantization", "value": "FP8", "phase": "Searching"}],
    "expired": True,
    "knobs": [{"setting": "cacheMemory", "low": "0", "high": "1Ti", "cost": "hot"},
              {"setting": "variant", "allowed": ["base", "distilled-3l"], "cost": "clone"}],
    "shadowed": [{"setting": "quantization", "value": "Int8", "accuracyLow": "0.9871", "minAccuracy": "0.98",
                  "inputs": 512, "speedup": "1.312"},
                 {"setting": "variant", "value": "small", "accuracyLow": "0", "minAccuracy": "1", "inputs": 0}],
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """A full report with one value replaced; `path` is like `refused.0.value`."""
    report: dict[str, Any] = json.loads(json.dumps(FULL))
    place: Any = report
    *parents, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in parents:
        place = place[step]
    place[last] = value
    return report


@pytest.mark.parametrize("report", [REPORT, FULL, changed("version", None), changed("applied", {})])
def test_a_report_as_the_wire_describes_it_is_taken_as_it_is(report: dict[str, Any]) -> None:
    assert read_report(json.dumps(report).encode()) == report


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("version", {}), ("version", {"uid": "", "generation": 1, "hash": HASH}), ("version.uid", "u" * 65),
        ("version.generation", -1), ("version.generation", 1.0), ("version.generation", True),
        ("version.generation", 2**53), ("version.hash", "0123"), ("version.hash", HASH.upper()),
        ("applied", None), ("applied", []), ("applied", {"modelPath": "/etc"}),
        ("applied.maxBatchSize", 0), ("applied.maxBatchSize", 1025), ("applied.maxBatchSize", True),
        ("applied.maxBatchSize", "8"), ("applied.maxBatchSize", None), ("applied.maxQueueDelay", 5),
        ("applied.maxQueueDelay", ""), ("applied.maxQueueDelay", "5"), ("applied.maxQueueDelay", "-5ms"),
        ("applied.maxQueueDelay", "24h1ms"), ("applied.maxQueueDelay", "5ms\n"), ("applied.maxQueueDelay", "\u0665ms"),
        ("applied.maxQueueDelay", "0000000000000005ms"), ("applied.cacheMemory", "64MiB"),
        ("applied.cacheMemory", "-1"), ("applied.cacheMemory", "1" * 21), ("applied.cacheMemory", 64),
        ("appliedHash", ""), ("appliedHash", HASH + "0"), ("appliedHash", 5),
        ("refused", {}), ("refused", [FULL["refused"][0]] * 2),
        ("refused", [{"setting": f"s{n}", "value": "v", "reason": ""} for n in range(9)]),
        ("refused.0", "x"), ("refused.0.value", ""), ("refused.0.value", "v" * 65), ("refused.0.value", "a\nb"),
        ("refused.0.reason", "r" * 1025), ("refused.0.reason", "\ud800"), ("refused.0.reason", "\x1b[2J"),
        ("refused.0.setting", ["maxBatchSize"]), ("refused.0.extra", 1),
        ("expired", 1), ("expired", None),
        ("knobs.0.setting", "modelPath"), ("knobs.0.setting", []), ("knobs.0.cost", "free"), ("knobs.0.cost", {}),
        ("applied.maxBatchTokens", -1), ("applied.maxBatchTokens", 2**20 + 1), ("applied.batching", "adaptive"),
        ("applied.quantization", "Int4"), ("applied.quantization", []), ("applied.variant", ""),
        ("applied.variant", "../x"), ("applied.variant", "v" * 64), ("applied.minAccuracy", "1.1"),
        ("applied.minAccuracy", 0.98), ("applied.minAccuracy", "0.9800000"),
        ("pending.0.setting", "modelPath"), ("pending.0.phase", ""), ("pending.0.value", "v" * 65),
        ("pending", [FULL["pending"][0]] * 2), ("pending", [{"setting": "batching"}]),
        ("pending", [{"setting": name, "value": "v", "phase": "p"} for name in list(Knob)[:5]]),
        ("shadowed", {}), ("shadowed", None), ("shadowed", [FULL["shadowed"][0]] * 2),
        ("shadowed", [FULL["shadowed"][1] | {"setting": name} for name in list(Knob)[:5]]),
        ("shadowed.0.setting", "modelPath"), ("shadowed.0.value", "v" * 65), ("shadowed.0.extra", 1),
        ("shadowed.0.accuracyLow", "1.2"), ("shadowed.0.accuracyLow", 0.98), ("shadowed.0.minAccuracy", None),
        ("shadowed.0.inputs", -1), ("shadowed.0.inputs", "512"), ("shadowed.0.inputs", 2**53),
        ("shadowed.0.speedup", 1.3), ("shadowed.0.speedup", "0.000"), ("shadowed.0.speedup", "inf"),
        ("shadowed.0.speedup", "-1"), ("shadowed.0", {"setting": "quantization", "value": "Int8"}),
        ("knobs.1.allowed", ["a", "a"]), ("knobs.1.allowed", [1]), ("knobs.1.allowed", [str(n) for n in range(17)]),
        ("knobs.1.low", "0"), ("knobs.0.low", 0), ("knobs.0.high", "h" * 65), ("knobs", [FULL["knobs"][0]] * 2),
    ],
)  # fmt: skip
def test_a_value_out_of_its_bounds_is_refused(path: str, value: Any) -> None:
    with pytest.raises(BadReportError):
        read_report(json.dumps(changed(path, value)).encode())


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_a_number_that_is_none_is_refused(number: str) -> None:
    text = json.dumps(changed("applied.maxBatchSize", "HERE")).replace('"HERE"', number)
    with pytest.raises(BadReportError):
        read_report(text.encode())


@pytest.mark.parametrize("field", sorted(FULL.keys() - {"shadowed"}))
def test_a_report_that_lacks_a_field_is_refused(field: str) -> None:
    with pytest.raises(BadReportError):
        read_report(json.dumps({key: value for key, value in FULL.items() if key != field}).encode())


def test_the_bounds_are_those_of_the_kind() -> None:
    assert f"^{reports.DURATION.pattern}$" == quantities.DURATION_PATTERN
    assert f"^{reports.BYTES.pattern}$" == quantities.BYTES_PATTERN
    schema = EngineSettings.model_json_schema()["properties"]
    assert schema["maxBatchSize"]["anyOf"][0]["maximum"] == reports.ITEMS[Knob.MAX_BATCH_SIZE][1]
    assert schema["maxQueueDelay"]["anyOf"][0]["maxLength"] == reports.MAX_DURATION_CHARACTERS
    assert schema["cacheMemory"]["anyOf"][0]["maxLength"] == reports.MAX_BYTES_CHARACTERS
    assert schema["maxBatchTokens"]["anyOf"][0]["maximum"] == reports.ITEMS[Knob.MAX_BATCH_TOKENS][1]
    assert f"^{reports.RATIO.pattern}$" == quantities.RATIO_PATTERN
    assert f"^{reports.SPEEDUP.pattern}$" == quantities.DECIMAL_PATTERN
    row = ShadowedSetting.model_json_schema()["properties"]
    assert row["speedup"]["anyOf"][0]["maxLength"] == reports.MAX_SPEEDUP_CHARACTERS
    assert row["inputs"]["maximum"] == reports.MAX_COUNT
    assert EngineReport.model_json_schema()["properties"]["shadowed"]["maxItems"] == MAX_PENDING
    assert f"^{reports.VARIANT.pattern}$" == quantities.VARIANT_PATTERN
    assert schema["minAccuracy"]["anyOf"][0]["maxLength"] == reports.MAX_RATIO_CHARACTERS
    assert schema["variant"]["anyOf"][0]["maxLength"] == reports.MAX_VARIANT_CHARACTERS
    assert EngineReport.model_json_schema()["properties"]["pending"]["maxItems"] == MAX_PENDING
    assert DeclaredKnob.model_json_schema()["properties"]["allowed"]["maxItems"] == reports.MAX_ALLOWED
    assert EngineReport.model_json_schema()["properties"]["refused"]["maxItems"] == MAX_REFUSED
    assert (_longest(texts.Word), _longest(texts.Sentence)) == (reports.MAX_WORD, reports.MAX_SENTENCE)


def test_the_table_and_the_kind_name_the_same_settings_with_the_same_words() -> None:
    fields = {field.alias: field for field in EngineSettings.model_fields.values()}
    assert list(fields) == list(Knob)
    schema = EngineSettings.model_json_schema()
    for knob, spec in ENGINE_KNOBS.items():
        reference = schema["properties"][knob]["anyOf"][0].get("$ref")
        words = () if reference is None else tuple(schema["$defs"][reference.rpartition("/")[2]]["enum"])
        assert words == spec.allowed


def _longest(annotated: Any) -> int:
    return int(next(item.max_length for field in annotated.__metadata__ for item in field.metadata if hasattr(item, "max_length")))  # fmt: skip  # noqa: E501
