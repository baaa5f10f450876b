"""Process settings of the engine: names, units, bounds and defaults; read once from the environment at start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from trimtab_api.engine_knobs import BASE_VARIANT, ENGINE_KNOBS, Knob
from trimtab_engine.errors import SettingError
from trimtab_engine.model_sources import ModelSource, read_model_list, read_model_name, served_models
from trimtab_engine.quantities import read_bytes, read_seconds
from trimtab_engine.variants.capture import SET_INPUTS
from trimtab_engine.variants.declared import DeclaredSource, read_declared

# Slots in shared memory are laid out for the largest batch a live change may ask for; untouched pages cost nothing.
MAX_BATCH_SIZE_BOUND = int(ENGINE_KNOBS[Knob.MAX_BATCH_SIZE].high)

_DEFAULT_HOST = "0.0.0.0"  # noqa: S104  a pod serves its pod IP
_DEFAULT_TOKEN_FILE = "/var/run/trimtab/token"  # noqa: S105  the place of one
_DEFAULT_CA_FILE = "/var/run/trimtab/ca.crt"
_AGENT_URL = re.compile(r"https://([A-Za-z0-9][A-Za-z0-9.-]{0,252}):([0-9]{1,5})/?")
_DEVICE = re.compile(r"auto|cpu|cuda:[0-9]{1,2}")
_FAULT = re.compile(r"(exit|out_of_memory|fail)_on_token:([0-9]{1,9})")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The settings that may change while the engine serves; one value object, read once per batch."""

    max_batch_size: int = 8
    max_queue_delay_seconds: float = 0.005
    cache_limit_bytes: int = 0
    max_batch_tokens: int = 0  # 0 = no limit
    batching: str = "Manual"
    latency_target_seconds: float = 0.1
    cache_eviction: str = "Auto"
    quantization: str = "None"
    variant: str = BASE_VARIANT
    min_accuracy: float = 0.98


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """Where the agent of this node answers, and what proves who we are and who it is."""

    host: str
    port: int
    token_file: str = _DEFAULT_TOKEN_FILE
    ca_file: str = _DEFAULT_CA_FILE
    first_settings_wait_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """How many inputs are kept in memory: bytes in all, and distinct ones in each set before anything is decided."""

    limit_bytes: int = 64 << 20
    inputs: int = SET_INPUTS


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that a test asks the worker for: what happens to a batch that holds this token id."""

    kind: str
    token: int


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Everything that is fixed for the life of the process, and the first live settings."""

    models: tuple[ModelSource, ...]
    host: str = _DEFAULT_HOST
    port: int = 8080
    device: str = "auto"
    torch_threads: int = 1
    queue_limit_items: int = 256
    max_body_bytes: int = 1 << 20
    max_connections: int = 1024
    read_timeout_seconds: float = 15.0
    default_deadline_seconds: float = 60.0
    batch_timeout_seconds: float = 120.0
    capture: CaptureSettings | None = CaptureSettings()  # None = no input is kept
    cache_lifetime_seconds: float = 0.0  # 0 = an answer does not age
    latency_objectives_seconds: tuple[float, ...] = ()  # histograms get an edge at each
    drain_seconds: float = 25.0
    drain_grace_seconds: float = 3.0
    live: LiveSettings = LiveSettings()
    agent: AgentSettings | None = None  # None = no agent is asked
    fault: Fault | None = None
    memory_limit_bytes: int | None = None  # None = the container's
    device_memory_fraction: float = 1.0
    declared: tuple[DeclaredSource, ...] = ()


def read_settings(environ: Mapping[str, str]) -> ProcessSettings:
    """Read every TRIMTAB_* setting.

    Raises:
        SettingError: one is missing or outside what is accepted.
    """
    read = _Reader(environ)
    settings = ProcessSettings(
        models=_read_models(read),
        host=read("TRIMTAB_HOST", _DEFAULT_HOST, str),
        port=read("TRIMTAB_PORT", 8080, _integer(0, 65535)),
        device=read("TRIMTAB_DEVICE", "auto", _device),
        torch_threads=read("TRIMTAB_TORCH_THREADS", 1, _integer(1, 256)),
        queue_limit_items=read("TRIMTAB_QUEUE_LIMIT", 256, _integer(1, 65536)),
        max_body_bytes=read("TRIMTAB_MAX_BODY_BYTES", 1 << 20, _byte_count(1 << 10, 1 << 30)),
        max_connections=read("TRIMTAB_MAX_CONNECTIONS", 1024, _integer(1, 65536)),
        read_timeout_seconds=read("TRIMTAB_READ_TIMEOUT", 15.0, _duration(0.1, 3600)),
        default_deadline_seconds=read("TRIMTAB_DEFAULT_DEADLINE", 60.0, _duration(0.001, 3600)),
        batch_timeout_seconds=read("TRIMTAB_BATCH_TIMEOUT", 120.0, _duration(1, 3600)),
        capture=_read_capture(read),
        cache_lifetime_seconds=read("TRIMTAB_CACHE_TTL", 0.0, _duration(0, 604800)),
        latency_objectives_seconds=read("TRIMTAB_LATENCY_OBJECTIVES", (), _durations(0.001, 3600, 8)),
        drain_seconds=read("TRIMTAB_DRAIN_SECONDS", 25.0, _number(0, 3600)),
        drain_grace_seconds=read("TRIMTAB_DRAIN_GRACE", 3.0, _duration(0, 3600)),
        live=_read_live(read),
        agent=_read_agent(read),
        fault=read("TRIMTAB_FAULT", None, _fault),
        memory_limit_bytes=read("TRIMTAB_MEMORY_LIMIT", None, _byte_count(1 << 20, 1 << 50)),
        device_memory_fraction=read("TRIMTAB_DEVICE_MEMORY_FRACTION", 1.0, _fraction),
        declared=read("TRIMTAB_VARIANTS", (), read_declared),
    )
    if settings.drain_grace_seconds > settings.drain_seconds:
        raise SettingError(
            f"TRIMTAB_DRAIN_GRACE is {settings.drain_grace_seconds:g} s, longer than TRIMTAB_DRAIN_SECONDS "
            f"({settings.drain_seconds:g} s); it accepts at most that"
        )
    return settings


def _read_models(read: _Reader) -> tuple[ModelSource, ...]:
    return served_models(
        read("TRIMTAB_MODEL", None, _text),
        read("TRIMTAB_MODEL_NAME", None, read_model_name),
        read("TRIMTAB_MODELS", (), read_model_list),
    )


def _read_live(read: _Reader) -> LiveSettings:
    batch, delay, cache, tokens, target = (
        ENGINE_KNOBS[knob]
        for knob in (
            Knob.MAX_BATCH_SIZE,
            Knob.MAX_QUEUE_DELAY,
            Knob.CACHE_MEMORY,
            Knob.MAX_BATCH_TOKENS,
            Knob.LATENCY_TARGET,
        )
    )
    return LiveSettings(
        max_batch_size=read("TRIMTAB_MAX_BATCH_SIZE", 8, _integer(int(batch.low), int(batch.high))),
        max_queue_delay_seconds=read("TRIMTAB_MAX_QUEUE_DELAY", 0.005, _duration(delay.low, delay.high)),
        cache_limit_bytes=read("TRIMTAB_CACHE_BYTES", 0, _byte_count(int(cache.low), int(cache.high))),
        max_batch_tokens=read("TRIMTAB_MAX_BATCH_TOKENS", 0, _integer(int(tokens.low), int(tokens.high))),
        batching=read("TRIMTAB_BATCHING", "Manual", _word(ENGINE_KNOBS[Knob.BATCHING].allowed)),
        latency_target_seconds=read("TRIMTAB_LATENCY_TARGET", 0.1, _duration(target.low, target.high)),
        cache_eviction=read("TRIMTAB_CACHE_EVICTION", "Auto", _word(ENGINE_KNOBS[Knob.CACHE_EVICTION].allowed)),
    )


def _read_capture(read: _Reader) -> CaptureSettings | None:
    on = read("TRIMTAB_CAPTURE", "on", _word(("on", "off"))) == "on"
    limit_bytes = read("TRIMTAB_CAPTURE_BYTES", 64 << 20, _byte_count(0, 1 << 40))
    inputs = read("TRIMTAB_CAPTURE_INPUTS", SET_INPUTS, _integer(16, SET_INPUTS))
    return CaptureSettings(limit_bytes, inputs) if on else None


def _read_agent(read: _Reader) -> AgentSettings | None:
    address = read("TRIMTAB_AGENT_URL", None, _agent_address)
    token_file = read("TRIMTAB_AGENT_TOKEN_FILE", _DEFAULT_TOKEN_FILE, str)
    ca_file = read("TRIMTAB_AGENT_CA_FILE", _DEFAULT_CA_FILE, str)
    wait_seconds = read("TRIMTAB_FIRST_SETTINGS_WAIT", 5.0, _duration(0, 60))
    return None if address is None else AgentSettings(*address, token_file, ca_file, wait_seconds)


class _Reader:
    """Reads one variable; what is refused becomes a SettingError with name, value and what is accepted."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def __call__(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        text = self._environ.get(name)
        if text is None or text == "":
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise SettingError(f"{name} is {text!r}; it accepts {error}") from None


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not low <= float(text) <= high:
            raise ValueError(f"seconds as a number from {low:g} to {high:g}")
        return float(text)

    return parse


def _duration(low_seconds: float, high_seconds: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        seconds = read_seconds(text)
        if seconds is None or not low_seconds <= seconds <= high_seconds:
            raise ValueError(f"a duration from {low_seconds:g}s to {high_seconds:g}s, written as 5ms, 2s or 1m30s")
        return seconds

    return parse


def _durations(low_seconds: float, high_seconds: float, most: int) -> Callable[[str], tuple[float, ...]]:
    one = _duration(low_seconds, high_seconds)

    def parse(text: str) -> tuple[float, ...]:
        parts = text.split(",")
        if len(parts) > most:
            raise ValueError(f"up to {most} durations with commas")
        return tuple(one(part.strip()) for part in parts)

    return parse


def _byte_count(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = read_bytes(text)
        if value is None or not low <= value <= high:
            raise ValueError(f"a number of bytes from {low} to {high}, written as 65536, 64Ki or 64Mi")
        return value

    return parse


def _word(allowed: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(" or ".join(allowed))
        return text

    return parse


def _fraction(text: str) -> float:
    if not re.fullmatch(r"[01](\.[0-9]{1,6})?", text) or not 0.0 < float(text) <= 1.0:
        raise ValueError("a number above 0 and up to 1, written as 0.5")
    return float(text)


def _agent_address(text: str) -> tuple[str, int] | None:
    match = _AGENT_URL.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= 65535:
        raise ValueError("https://HOST:PORT")
    return match[1], int(match[2])


def _device(text: str) -> str:
    if not _DEVICE.fullmatch(text):
        raise ValueError("auto, cpu or cuda:N")
    return text


def _text(text: str) -> str | None:
    return text


def _fault(text: str) -> Fault | None:
    match = _FAULT.fullmatch(text)
    if match is None:
        raise ValueError("exit_on_token:ID, out_of_memory_on_token:ID or fail_on_token:ID, for tests only")
    return Fault(kind=match[1], token=int(match[2]))
