"""Reads an engine's report, believing nothing: what passes here can be written into a NodeTuning's status. Pure.

The bounds are those of the kind NodeTuning (a test compares them): the API server takes or refuses a status as a whole,
so one engine's bad value would silence the whole node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Set
from typing import Any, Final, cast

from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob, KnobSpec, Unit
from trimtab_api.wire import MAX_PENDING, MAX_REFUSED, SettingsReport, ShadowedSetting

Json = dict[str, Any]

ITEMS: Final = {Knob.MAX_BATCH_SIZE: (1, 1024), Knob.MAX_BATCH_TOKENS: (0, 1 << 20)}
MAX_WORD = 64
MAX_SENTENCE = 1024
MAX_ALLOWED = 16
MAX_COUNT = 2**53 - 1
DURATION = re.compile(r"([0-9]+(ms|s|m|h))+", re.ASCII)
MAX_DURATION_CHARACTERS = 16
BYTES = re.compile(r"[0-9]+([.][0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?", re.ASCII)
MAX_BYTES_CHARACTERS = 20
RATIO = re.compile(r"(0([.][0-9]{1,6})?|1([.]0{1,6})?)", re.ASCII)
MAX_RATIO_CHARACTERS = 8
SPEEDUP = re.compile(r"[0-9]{1,12}([.][0-9]{1,9})?", re.ASCII)
MAX_SPEEDUP_CHARACTERS = 22
VARIANT = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?", re.ASCII)
MAX_VARIANT_CHARACTERS = 63
HASH = re.compile(r"[0-9a-f]{16}", re.ASCII)

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_DAY_MILLISECONDS = 24 * 3_600_000


class BadReportError(ValueError):
    """A body that is no SettingsReport; the message says where."""


def read_report(body: bytes) -> SettingsReport:
    """Decode and check a report. Raises BadReportError."""
    try:
        found = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadReportError("the body is not JSON") from error
    report = _object(found, "report", SettingsReport.__required_keys__, SettingsReport.__optional_keys__)
    _optional(report["version"], _version)
    _settings(report["applied"])
    _optional(report["appliedHash"], lambda value: _match(value, HASH, 16, "appliedHash"))
    _rows(report["refused"], "refused", MAX_REFUSED, _refused)
    _rows(report["pending"], "pending", MAX_PENDING, _pending)
    _require(isinstance(report["expired"], bool), "expired")
    _rows(report["knobs"], "knobs", len(Knob), _knob)
    _rows(report.get("shadowed", []), "shadowed", MAX_PENDING, _shadowed)
    return cast(SettingsReport, report)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _require(is_right: bool, where: str) -> None:
    if not is_right:
        raise BadReportError(f"{where} is not as it should be")


def _object(value: object, where: str, fields: Set[str], optional: Set[str] = frozenset()) -> Json:
    _require(isinstance(value, dict) and fields <= value.keys() <= fields | optional, where)
    return cast(Json, value)


def _optional(value: object, check: Callable[[object], None]) -> None:
    if value is not None:
        check(value)


def _text(value: object, shortest: int, longest: int, where: str) -> None:
    """Printable text only: neither line breaks in logs nor halves of characters that no one else can read."""
    _require(isinstance(value, str) and shortest <= len(value) <= longest and value.isprintable(), where)


def _match(value: object, pattern: re.Pattern[str], longest: int, where: str) -> None:
    _require(isinstance(value, str) and len(value) <= longest and pattern.fullmatch(value) is not None, where)


def _rows(value: object, where: str, most: int, check: Callable[[object], str]) -> None:
    """Check a list of different things, by the name that `check` returns."""
    if not isinstance(value, list) or len(value) > most:
        raise BadReportError(f"{where} is not as it should be")
    names = [check(row) for row in value]
    _require(len(set(names)) == len(names), where)


def _version(value: object) -> None:
    version = _object(value, "version", {"uid", "generation", "hash"})
    _text(version["uid"], 1, MAX_WORD, "version.uid")
    _require(_is_integer(version["generation"], 0, MAX_COUNT), "version.generation")
    _match(version["hash"], HASH, 16, "version.hash")


def _refused(value: object) -> str:
    row = _object(value, "refused", {"setting", "value", "reason"})
    _text(row["setting"], 1, MAX_WORD, "refused.setting")
    _text(row["value"], 1, MAX_WORD, "refused.value")
    _text(row["reason"], 0, MAX_SENTENCE, "refused.reason")
    return str(row["setting"])


def _pending(value: object) -> str:
    row = _object(value, "pending", {"setting", "value", "phase"})
    _knob_name(row["setting"], "pending.setting")
    _text(row["value"], 1, MAX_WORD, "pending.value")
    _text(row["phase"], 1, MAX_WORD, "pending.phase")
    return str(row["setting"])


def _shadowed(value: object) -> str:
    row = _object(value, "shadowed", ShadowedSetting.__required_keys__, ShadowedSetting.__optional_keys__)
    _knob_name(row["setting"], "shadowed.setting")
    _text(row["value"], 1, MAX_WORD, "shadowed.value")
    _match(row["accuracyLow"], RATIO, MAX_RATIO_CHARACTERS, "shadowed.accuracyLow")
    _match(row["minAccuracy"], RATIO, MAX_RATIO_CHARACTERS, "shadowed.minAccuracy")
    _require(_is_integer(row["inputs"], 0, MAX_COUNT), "shadowed.inputs")
    if "speedup" in row:
        _match(row["speedup"], SPEEDUP, MAX_SPEEDUP_CHARACTERS, "shadowed.speedup")
        _require(float(row["speedup"]) > 0.0, "shadowed.speedup")
    return str(row["setting"])


def _knob_name(value: object, where: str) -> None:
    _text(value, 1, MAX_WORD, where)
    _require(value in set(Knob), where)


def _knob(value: object) -> str:
    is_choice = isinstance(value, dict) and "allowed" in value
    row = _object(value, "knobs", {"setting", "cost", *(("allowed",) if is_choice else ("low", "high"))})
    _knob_name(row["setting"], "knobs.setting")
    if is_choice:
        _rows(row["allowed"], "knobs.allowed", MAX_ALLOWED, _word)
    else:
        _text(row["low"], 1, MAX_WORD, "knobs.low")
        _text(row["high"], 1, MAX_WORD, "knobs.high")
    _text(row["cost"], 1, MAX_WORD, "knobs.cost")
    _require(row["cost"] in set(ChangeCost), "knobs.cost")
    return str(row["setting"])


def _word(value: object) -> str:
    _text(value, 1, MAX_WORD, "knobs.allowed")
    return str(value)


def _settings(value: object) -> None:
    _require(isinstance(value, dict) and value.keys() <= set(Knob), "applied")
    for name, setting in cast(Json, value).items():
        _setting(ENGINE_KNOBS[Knob(name)], setting, f"applied.{name}")


def _setting(spec: KnobSpec, value: object, where: str) -> None:
    if spec.unit is Unit.ITEMS:
        _require(_is_integer(value, *ITEMS[spec.knob]), where)
    elif spec.unit is Unit.RATIO:
        _match(value, RATIO, MAX_RATIO_CHARACTERS, where)
    elif spec.unit is Unit.CHOICE and not spec.allowed:
        _match(value, VARIANT, MAX_VARIANT_CHARACTERS, where)
    elif spec.unit is Unit.CHOICE:
        _require(isinstance(value, str) and value in spec.allowed, where)
    elif spec.unit is Unit.SECONDS:
        _match(value, DURATION, MAX_DURATION_CHARACTERS, where)
        _require(_milliseconds(str(value)) <= _DAY_MILLISECONDS, where)
    else:
        _match(value, BYTES, MAX_BYTES_CHARACTERS, where)


def _milliseconds(duration: str) -> int:
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in re.findall(r"([0-9]+)(ms|s|m|h)", duration))


def _is_integer(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
