"""Values of the knobs that are turned: as numbers or words, and as the API writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trimtab_api.engine_knobs import Knob
from trimtab_api.engine_settings import BatchingRule, EngineSettings, Eviction, Quantization
from trimtab_api.quantities import format_bytes, format_duration, parse_bytes, parse_duration_seconds

Value = float | str
"""A number in the knob's unit, or the word of a choice."""


@dataclass(frozen=True)
class _Form:
    field: str
    read: Callable[[str], Value]
    write: Callable[[Any], int | str]


_FORMS = {
    Knob.MAX_BATCH_SIZE: _Form("max_batch_size", float, int),
    Knob.MAX_QUEUE_DELAY: _Form("max_queue_delay", parse_duration_seconds, format_duration),
    Knob.CACHE_MEMORY: _Form("cache_memory", parse_bytes, lambda value: format_bytes(int(value))),
    Knob.MAX_BATCH_TOKENS: _Form("max_batch_tokens", float, int),
    Knob.BATCHING: _Form("batching", str, BatchingRule),
    Knob.LATENCY_TARGET: _Form("latency_target", parse_duration_seconds, format_duration),
    Knob.CACHE_EVICTION: _Form("cache_eviction", str, Eviction),
    Knob.QUANTIZATION: _Form("quantization", str, Quantization),
    Knob.VARIANT: _Form("variant", str, str),
}
KNOBS = tuple(_FORMS)
"""The knobs that are turned."""


def value_of(settings: EngineSettings, knob: Knob) -> Value | None:
    """Return a setting in the knob's unit; None where it is absent."""
    stored = getattr(settings, _FORMS[knob].field)
    return None if stored is None else _FORMS[knob].read(str(stored))


def written(knob: Knob, value: Value) -> str:
    """Write a value as the API does, such as `5ms` or `64Mi`; what it cannot resolve is cut."""
    return str(_FORMS[knob].write(value))


def with_value(settings: EngineSettings, knob: Knob, value: Value) -> EngineSettings:
    """Return the settings with one of them changed."""
    form = _FORMS[knob]
    return settings.model_copy(update={form.field: form.write(value)})
