"""Settings bodies and live settings: one is checked into the other by the table of knobs. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from trimtab_api.engine_knobs import ENGINE_KNOBS, Knob, KnobSpec, Unit
from trimtab_api.wire import DeclaredKnob, RefusedValue
from trimtab_engine.quantities import read_bytes, read_seconds, write_seconds
from trimtab_engine.settings import LiveSettings

_FIELDS = {
    Knob.MAX_BATCH_SIZE: "max_batch_size",
    Knob.MAX_QUEUE_DELAY: "max_queue_delay_seconds",
    Knob.CACHE_MEMORY: "cache_limit_bytes",
}
_SHOWN_CHARACTERS = 64
_MAX_REFUSED = 8

Body = Mapping[str, msgspec.Raw]


def refused(setting: str, value: object, reason: str) -> RefusedValue:
    """Return a refusal whose texts are short and printable, as a report's must be."""
    return {"setting": _shown(setting), "value": _shown(str(value)), "reason": _printable(reason)}


def read_settings_body(body: Body, started: LiveSettings) -> LiveSettings | list[RefusedValue]:
    """Return the settings that a body asks for, or every value in it that cannot be taken.

    What the body leaves out is as the process started with.
    """
    changes: dict[str, Any] = {}
    objections: dict[str, RefusedValue] = {}  # by name as shown: a report names each once
    for name, raw in body.items():
        spec = _spec(name)
        value = None if spec is None else _read(spec.unit, raw)
        if spec is None:
            objection = refused(name, _text(raw), f"is no setting of this engine; it has {', '.join(Knob)}")
            objections.setdefault(objection["setting"], objection)
        elif value is None or not spec.low <= value <= spec.high:
            objections[name] = refused(name, _text(raw), f"must be {accepted(spec)}")
        else:
            changes[_FIELDS[spec.knob]] = value
    return list(objections.values())[:_MAX_REFUSED] if objections else dataclasses.replace(started, **changes)


def settings_body(live: LiveSettings) -> dict[str, Any]:
    """Return live settings as a complete body."""
    return {knob.value: _write(spec.unit, getattr(live, _FIELDS[knob])) for knob, spec in ENGINE_KNOBS.items()}


def declared_knobs() -> list[DeclaredKnob]:
    """Return what this engine lets be changed, and how far."""
    return [
        {
            "setting": knob.value,
            "low": str(_write(spec.unit, spec.low)),
            "high": str(_write(spec.unit, spec.high)),
            "cost": spec.cost.value,
        }
        for knob, spec in ENGINE_KNOBS.items()
    ]


def accepted(spec: KnobSpec) -> str:
    """Return in words what a setting accepts."""
    low, high = _write(spec.unit, spec.low), _write(spec.unit, spec.high)
    match spec.unit:
        case Unit.ITEMS:
            return f"a whole number from {low} to {high}"
        case Unit.SECONDS:
            return f'a duration from {low} to {high}, such as "5ms"'
        case Unit.BYTES:
            return f'a size from {low} to {high} bytes, such as "64Mi"'


def _shown(text: str) -> str:
    return _printable(text[:_SHOWN_CHARACTERS]) or "(nothing)"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _spec(name: str) -> KnobSpec | None:
    return ENGINE_KNOBS[Knob(name)] if name in set(Knob) else None


def _read(unit: Unit, raw: msgspec.Raw) -> float | None:
    """Return the number of a value in its unit; None for one of another type or form."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):  # a number beyond every range, or brackets without end
        return None
    if unit is Unit.ITEMS:
        return value if type(value) is int else None
    if not isinstance(value, str):
        return None
    return read_seconds(value) if unit is Unit.SECONDS else read_bytes(value)


def _write(unit: Unit, value: float) -> int | str:
    match unit:
        case Unit.ITEMS:
            return int(value)
        case Unit.SECONDS:
            return write_seconds(value)
        case Unit.BYTES:
            return str(int(value))


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw)[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").strip('"')
