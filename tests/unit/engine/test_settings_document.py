"""Settings documents: what is taken, and that a hostile one is refused whole, by field, value and reason."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.engine_agent import POD_UID, a_document
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.engine_knobs import Knob
from trimtab_api.wire import MAX_BODY_BYTES, settings_hash
from trimtab_engine.agent_link.document import Document, Expected, Refusal, read_document
from trimtab_engine.agent_link.history import History, Version
from trimtab_engine.settings import LiveSettings

STARTED = LiveSettings(max_batch_size=8, max_queue_delay_seconds=0.005, cache_limit_bytes=4096)
TRIAL: dict[str, Any] = {"trial": "t-1", "expiresInSeconds": 60.0, "fallback": {"maxBatchSize": 4}}
HASH = "0123456789abcdef"
COMPLETE: dict[str, Any] = {"maxBatchSize": 16, "maxQueueDelay": "10ms", "cacheMemory": "1.5Ki"}


def read(document: dict[str, Any] | bytes, history: History | None = None) -> Document | Refusal:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_document(body, Expected(POD_UID, STARTED, history or History()))


def refusals(document: dict[str, Any] | bytes, history: History | None = None) -> list[tuple[str, str, str]]:
    outcome = read(document, history)
    assert isinstance(outcome, Refusal)
    return [(value["setting"], value["value"], value["reason"]) for value in outcome.refused]


def test_a_complete_document_is_read_in_its_units() -> None:
    document = read(a_document(COMPLETE, generation=3, **TRIAL))
    assert isinstance(document, Document)
    assert document.settings == LiveSettings(16, 0.01, 1536)
    assert document.version == Version("tuning-1", 3, settings_hash(COMPLETE))
    assert document.trial is not None
    assert document.trial.fallback == LiveSettings(4, 0.005, 4096)
    assert document.trial.fallback_hash == settings_hash({"maxBatchSize": 4})


def test_an_absent_setting_is_the_one_that_the_process_started_with() -> None:
    document = read(a_document({}))
    assert isinstance(document, Document)
    assert (document.settings, document.trial) == (STARTED, None)


@pytest.mark.parametrize(
    ("settings", "setting", "value", "reason"),
    [
        ({"maxBatchSize": 0}, "maxBatchSize", "0", "from 1 to 256"),
        ({"maxBatchSize": -8}, "maxBatchSize", "-8", "from 1 to 256"),
        ({"maxBatchSize": 257}, "maxBatchSize", "257", "from 1 to 256"),
        ({"maxBatchSize": 10**400}, "maxBatchSize", "1" + "0" * 63, "from 1 to 256"),
        ({"maxBatchSize": 8.0}, "maxBatchSize", "8.0", "whole number"),
        ({"maxBatchSize": True}, "maxBatchSize", "true", "whole number"),
        ({"maxBatchSize": "16"}, "maxBatchSize", "16", "whole number"),
        ({"maxBatchSize": None}, "maxBatchSize", "null", "whole number"),
        ({"maxBatchSize": [16]}, "maxBatchSize", "[16]", "whole number"),
        ({"maxQueueDelay": "-5ms"}, "maxQueueDelay", "-5ms", "from 0ms to 10000ms"),
        ({"maxQueueDelay": "11s"}, "maxQueueDelay", "11s", "from 0ms to 10000ms"),
        ({"maxQueueDelay": "NaN"}, "maxQueueDelay", "NaN", "a duration"),
        ({"maxQueueDelay": 5}, "maxQueueDelay", "5", "a duration"),
        ({"maxQueueDelay": ""}, "maxQueueDelay", "(nothing)", "a duration"),
        ({"maxQueueDelay": "9" * 5000 + "ms"}, "maxQueueDelay", "9" * 64, "a duration"),
        ({"cacheMemory": "-1"}, "cacheMemory", "-1", "a size"),
        ({"cacheMemory": "2Ti"}, "cacheMemory", "2Ti", "a size"),
        ({"cacheMemory": "Infinity"}, "cacheMemory", "Infinity", "a size"),
        ({"cacheMemory": 4096}, "cacheMemory", "4096", "a size"),
        ({"cacheMemory": {"bytes": "1"}}, "cacheMemory", '{"bytes": "1"}', "a size"),
        ({"maxBatchTokens": -1}, "maxBatchTokens", "-1", "from 0 to 1048576"),
        ({"batching": "adaptive"}, "batching", "adaptive", "one of Manual, Adaptive"),
        ({"batching": 1}, "batching", "1", "one of Manual, Adaptive"),
        ({"latencyTarget": "0ms"}, "latencyTarget", "0ms", "from 1ms to 60000ms"),
        ({"quantization": "Int4"}, "quantization", "Int4", "one of None, Int8, FP8"),
        ({"variant": "small"}, "variant", "small", "one of base"),
        ({"minAccuracy": "1.1"}, "minAccuracy", "1.1", "a share from 0 to 1"),
        ({"minAccuracy": 0.98}, "minAccuracy", "0.98", "a share from 0 to 1"),
        ({"minAccuracy": "98%"}, "minAccuracy", "98%", "a share from 0 to 1"),
        ({"modelPath": "/etc/passwd"}, "modelPath", "/etc/passwd", "no setting of this engine"),
        ({"": "x"}, "(nothing)", "x", "no setting of this engine"),
    ],
)
def test_a_setting_that_cannot_be_taken_refuses_the_whole_document(
    settings: dict[str, Any], setting: str, value: str, reason: str
) -> None:
    ((found_setting, found_value, found_reason),) = refusals(a_document({**COMPLETE, **settings}))
    assert (found_setting, found_value) == (setting, value)
    assert reason in found_reason


def test_words_shares_and_declared_names_are_read() -> None:
    settings = {"batching": "Adaptive", "quantization": "Int8", "variant": "small", "minAccuracy": "0.995"}
    body = json.dumps(a_document(settings)).encode()
    document = read_document(body, Expected(POD_UID, STARTED, History(), {Knob.VARIANT: ("base", "small")}))
    assert isinstance(document, Document)
    live = document.settings
    assert (live.batching, live.quantization, live.variant, live.min_accuracy) == ("Adaptive", "Int8", "small", 0.995)


def test_what_an_engine_does_not_offer_is_refused_in_its_own_words() -> None:
    body = json.dumps(a_document({"quantization": "FP8"})).encode()
    outcome = read_document(body, Expected(POD_UID, STARTED, History(), {Knob.QUANTIZATION: ("None", "Int8")}))
    assert isinstance(outcome, Refusal)
    assert outcome.refused == [{"setting": "quantization", "value": "FP8", "reason": "must be one of None, Int8"}]


def test_every_wrong_setting_is_named_and_no_more_than_can_be_reported() -> None:
    assert [name for name, _, _ in refusals(a_document({"maxBatchSize": 0, "maxQueueDelay": "x", "a": 1}))] == [
        "maxBatchSize",
        "maxQueueDelay",
        "a",
    ]
    assert len(refusals(a_document({f"unknown{number}": number for number in range(50)}))) == 8


@pytest.mark.parametrize(
    ("change", "field", "value", "reason"),
    [
        ({"podUid": "another"}, "podUid", "another", "not this pod"),
        ({"podUid": 7}, "podUid", "7", "Expected `str`, got `int`"),
        ({"command": "rm"}, "command", '"rm"', "unknown field"),
        ({"settings": None}, "settings", "null", "Expected `object`"),
        ({"settings": []}, "settings", "[]", "Expected `object`"),
        ({"version": None}, "version", "null", "Expected `object`"),
        ({"version": {"uid": "u", "generation": -1, "hash": HASH}}, "version.generation", "-1", ">= 0"),
        ({"version": {"uid": "u", "generation": 10**30, "hash": HASH}}, "version.generation", str(10**30), "<= 9"),
        ({"version": {"uid": "u", "generation": 1.5, "hash": "h"}}, "version.generation", "1.5", "Expected `int`"),
        ({"version": {"uid": "", "generation": 1, "hash": HASH}}, "version.uid", '""', "regex"),
        ({"version": {"uid": "a\nb", "generation": 1, "hash": HASH}}, "version.uid", r'"a\nb"', "regex"),
        ({"version": {"uid": "u", "generation": 1, "hash": "h"}}, "version.hash", '"h"', "regex"),
        ({"version": {"uid": "u", "generation": 1, "hash": HASH}}, "version.hash", HASH, "not that of the settings"),
        ({"version": {"uid": "u", "generation": 1, "hash": HASH, "x": 1}}, "version.x", "1", "unknown field"),
        ({"entry": ""}, "entry", '""', "regex"),
        ({"entry": "a&wait=0"}, "entry", '"a&wait=0"', "regex"),
        ({"trial": "t"}, "expiresInSeconds", "(absent)", "go together"),
        ({"expiresInSeconds": 5.0}, "trial", "(absent)", "go together"),
        ({"fallback": {}}, "trial", "(absent)", "go together"),
        ({**TRIAL, "expiresInSeconds": -1.0}, "expiresInSeconds", "-1.0", ">= 0"),
        ({**TRIAL, "expiresInSeconds": 1e9}, "expiresInSeconds", "1000000000.0", "<= 604800"),
        ({**TRIAL, "expiresInSeconds": "60"}, "expiresInSeconds", '"60"', "Expected `float`"),
        ({**TRIAL, "fallback": {"maxBatchSize": 0}}, "maxBatchSize", "0", "in fallback: must be"),
    ],
)
def test_a_field_that_cannot_be_taken_refuses_the_whole_document(
    change: dict[str, Any], field: str, value: str, reason: str
) -> None:
    ((found_field, found_value, found_reason),) = refusals({**a_document(COMPLETE), **change})
    assert (found_field, found_value) == (field, value)
    assert reason in found_reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{" * 30_000,
        b"[" * 60_000,
        json.dumps(a_document({"maxBatchSize": 4})).encode()[:-1],
        json.dumps(a_document({}, expiresInSeconds=float("nan"))).encode(),
        json.dumps(a_document({}, expiresInSeconds=float("inf"))).encode(),
        json.dumps(a_document({"maxBatchSize": float("-inf")})).encode(),
        b'{"podUid": "a", "settings": {"a": ' + b"[" * 20_000,
        json.dumps(a_document({})).encode() + b" " * MAX_BODY_BYTES,
    ],
    ids=lambda body: repr(body[:24]) + str(len(body)),
)
def test_what_is_no_document_at_all_is_refused(body: bytes) -> None:
    ((_, value, reason),) = refusals(body)
    assert 1 <= len(value) <= 64
    assert reason


def test_a_number_beyond_every_range_is_refused_by_name() -> None:
    body = json.dumps(a_document({"maxBatchSize": 7})).encode().replace(b'"maxBatchSize": 7', b'"maxBatchSize": 1e999')
    assert [name for name, _, _ in refusals(body)] == ["maxBatchSize"]


def test_an_older_generation_and_a_superseded_nodetuning_are_refused() -> None:
    newest = History().after(Version("a", 5, "h"))
    assert refusals(a_document({}, uid="a", generation=4), newest)[0][2].startswith("OutOfOrder")
    assert isinstance(read(a_document({}, uid="a", generation=5), newest), Document)
    replaced = newest.after(Version("b", 1, "h"))
    assert refusals(a_document({}, uid="a", generation=9), replaced)[0][2].startswith("Replayed")
    assert isinstance(read(a_document({}, uid="b", generation=1), replaced), Document)


def test_the_last_eight_superseded_nodetunings_are_remembered() -> None:
    history = History()
    for number in range(10):
        history = history.after(Version(f"uid-{number}", 1, "h"))
    assert history.superseded == tuple(f"uid-{number}" for number in range(1, 9))


def test_what_is_shown_of_a_refused_document_can_be_printed_and_names_nothing_twice() -> None:
    lone, long = "\ud800", "x" * 70
    body = json.dumps(a_document({"a\nb": "\x00\x1b[31m", lone: 1, f"{long}1": 1, f"{long}2": 2})).encode()
    found = refusals(body)
    assert all(text.isprintable() for row in found for text in row)
    assert len({name for name, _, _ in found}) == len(found)


def test_a_refused_document_is_still_named_where_its_entry_can_be_read() -> None:
    document = a_document({"maxBatchSize": 0}, generation=7)
    outcome = read({**document, "more": 1})
    assert isinstance(outcome, Refusal)
    assert outcome.entry == document["entry"]
    assert outcome.version is not None
    assert outcome.version.generation == 7
    unreadable = read(b"{")
    assert isinstance(unreadable, Refusal)
    assert (unreadable.entry, unreadable.version) == (None, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(a_document(COMPLETE, **TRIAL))), json_values)
def test_whatever_stands_in_a_field_is_read_or_refused_and_never_raises(field: str, value: Any) -> None:
    outcome = read({**a_document(COMPLETE, **TRIAL), field: value})
    if isinstance(outcome, Refusal):
        assert 1 <= len(outcome.refused) <= 8
        assert all(1 <= len(entry["value"]) <= 64 and len(entry["setting"]) <= 64 for entry in outcome.refused)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_raise(body: bytes) -> None:
    assert isinstance(read(body), Refusal)
