"""Knob values as numbers and as the API writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import EngineSettings
from trimtab_api.quantities import format_bytes, format_duration, parse_bytes, parse_duration_seconds


@dataclass(frozen=True)
class _Form:
    field: str
    read: Callable[[str], float]
    write: Callable[[float], int | str]


_FORMS = {
    Knob.MAX_BATCH_SIZE: _Form("max_batch_size", float, int),
    Knob.MAX_QUEUE_DELAY: _Form("max_queue_delay", parse_duration_seconds, format_duration),
    Knob.CACHE_MEMORY: _Form("cache_memory", parse_bytes, lambda value: format_bytes(int(value))),
}


def value_of(settings: EngineSettings, knob: Knob) -> float | None:
    """Return a setting in the knob's unit; None where it is absent."""
    stored = getattr(settings, _FORMS[knob].field)
    return None if stored is None else _FORMS[knob].read(str(stored))


def written(knob: Knob, value: float) -> str:
    """Write a value as the API does, such as `5ms` or `64Mi`; what it cannot resolve is cut."""
    return str(_FORMS[knob].write(value))


def with_value(settings: EngineSettings, knob: Knob, value: float) -> EngineSettings:
    """Return the settings with one of them changed."""
    form = _FORMS[knob]
    return settings.model_copy(update={form.field: form.write(value)})
