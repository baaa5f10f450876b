"""Settings bodies and live settings: one is checked into the other by the table of knobs. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from trimtab_api.engine_knobs import BASE_VARIANT, ENGINE_KNOBS, Knob, KnobSpec, Unit
from trimtab_api.wire import MAX_REFUSED, DeclaredKnob, RefusedValue
from trimtab_engine.quantities import read_bytes, read_ratio, read_seconds, write_ratio, write_seconds
from trimtab_engine.settings import LiveSettings

_FIELDS = {
    Knob.MAX_BATCH_SIZE: "max_batch_size",
    Knob.MAX_QUEUE_DELAY: "max_queue_delay_seconds",
    Knob.CACHE_MEMORY: "cache_limit_bytes",
    Knob.MAX_BATCH_TOKENS: "max_batch_tokens",
    Knob.BATCHING: "batching",
    Knob.LATENCY_TARGET: "latency_target_seconds",
    Knob.CACHE_EVICTION: "cache_eviction",
    Knob.QUANTIZATION: "quantization",
    Knob.VARIANT: "variant",
    Knob.MIN_ACCURACY: "min_accuracy",
}
_READERS: Mapping[Unit, Callable[[str], float | None]] = {
    Unit.SECONDS: read_seconds,
    Unit.BYTES: read_bytes,
    Unit.RATIO: read_ratio,
}
_SHOWN_CHARACTERS = 64

Body = Mapping[str, msgspec.Raw]
Offers = Mapping[Knob, tuple[str, ...]]
"""The words that this engine takes for its choices, where they differ from the table's."""

BASE_ONLY: Offers = MappingProxyType({Knob.VARIANT: (BASE_VARIANT,)})


def refused(setting: str, value: object, reason: str) -> RefusedValue:
    """Return a refusal whose texts are short and printable, as a report's must be."""
    return {"setting": _shown(setting), "value": _shown(str(value)), "reason": _printable(reason)}


def read_settings_body(
    body: Body, started: LiveSettings, offers: Offers = BASE_ONLY
) -> LiveSettings | list[RefusedValue]:
    """Return the settings that a body asks for, or every value in it that cannot be taken.

    What the body leaves out is as the process started with.
    """
    changes: dict[str, Any] = {}
    objections: dict[str, RefusedValue] = {}  # by name as shown: a report names each once
    for name, raw in body.items():
        spec = _spec(name, offers)
        value = None if spec is None else _read(spec, raw)
        if spec is None:
            objection = refused(name, _text(raw), f"is no setting of this engine; it has {', '.join(Knob)}")
            objections.setdefault(objection["setting"], objection)
        elif value is None:
            objections[name] = refused(name, _text(raw), f"must be {accepted(spec)}")
        else:
            changes[_FIELDS[spec.knob]] = value
    return list(objections.values())[:MAX_REFUSED] if objections else dataclasses.replace(started, **changes)


def settings_body(live: LiveSettings) -> dict[str, Any]:
    """Return live settings as a complete body."""
    return {knob.value: _write(spec.unit, getattr(live, _FIELDS[knob])) for knob, spec in ENGINE_KNOBS.items()}


def declared_knobs(offers: Offers = BASE_ONLY) -> list[DeclaredKnob]:
    """Return what this engine lets be changed, and how far."""
    return [_declared(_offered(spec, offers)) for spec in ENGINE_KNOBS.values()]


def _declared(spec: KnobSpec) -> DeclaredKnob:
    if spec.unit is Unit.CHOICE:
        return {"setting": spec.knob.value, "allowed": list(spec.allowed), "cost": spec.cost.value}
    low, high = str(_write(spec.unit, spec.low)), str(_write(spec.unit, spec.high))
    return {"setting": spec.knob.value, "low": low, "high": high, "cost": spec.cost.value}


def accepted(spec: KnobSpec) -> str:
    """Return in words what a setting accepts."""
    low, high = (_write(spec.unit, bound) for bound in (spec.low, spec.high))
    match spec.unit:
        case Unit.ITEMS:
            return f"a whole number from {low} to {high}"
        case Unit.SECONDS:
            return f'a duration from {low} to {high}, such as "5ms"'
        case Unit.BYTES:
            return f'a size from {low} to {high} bytes, such as "64Mi"'
        case Unit.RATIO:
            return f'a share from {low} to {high}, such as "0.98"'
        case Unit.CHOICE:
            return f"one of {', '.join(spec.allowed)}"


def _shown(text: str) -> str:
    return _printable(text[:_SHOWN_CHARACTERS]) or "(nothing)"


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _spec(name: str, offers: Offers) -> KnobSpec | None:
    return _offered(ENGINE_KNOBS[Knob(name)], offers) if name in set(Knob) else None


def _offered(spec: KnobSpec, offers: Offers) -> KnobSpec:
    return dataclasses.replace(spec, allowed=offers[spec.knob]) if spec.knob in offers else spec


def _read(spec: KnobSpec, raw: msgspec.Raw) -> float | str | None:
    """Return a value in its unit; None for one of another type or form, or beyond what is accepted."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):  # a number beyond every range, or brackets without end
        return None
    if spec.unit is Unit.CHOICE:
        return value if isinstance(value, str) and value in spec.allowed else None
    number = _number(spec.unit, value)
    return number if number is not None and spec.low <= number <= spec.high else None


def _number(unit: Unit, value: object) -> float | None:
    if unit is Unit.ITEMS:
        return value if type(value) is int else None
    return _READERS[unit](value) if isinstance(value, str) else None


def _write(unit: Unit, value: Any) -> int | str:
    match unit:
        case Unit.ITEMS:
            return int(value)
        case Unit.SECONDS:
            return write_seconds(value)
        case Unit.BYTES:
            return str(int(value))
        case Unit.RATIO:
            return write_ratio(value)
        case Unit.CHOICE:
            return str(value)


def _text(raw: msgspec.Raw) -> str:
    return bytes(raw)[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").strip('"')
