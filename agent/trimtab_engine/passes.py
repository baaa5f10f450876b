"""What is counted of each pass: its size, its time against what was predicted, its phases, and the gaps between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from prometheus_client import Counter

from trimtab_engine import wire
from trimtab_engine.batching.latency_model import Shape
from trimtab_engine.histogram import ModelHistogram
from trimtab_engine.periods import SettingsPeriods


class Phase(StrEnum):
    """The label `phase` of trimtab_engine_phase_seconds_total."""

    TOKENIZE = "tokenize"  # only models that take texts have it
    QUEUE = "queue"
    COPY_IN = "copy_in"
    PASS = "pass"  # noqa: S105  of a model
    COPY_OUT = "copy_out"
    HANDOVER = "handover"
    ANSWER = "answer"


class _Running(NamedTuple):
    period: int
    expected_seconds: float
    copy_seconds: float
    began_at: float


class PassMetrics:
    """Of one model, on all devices. Times are monotonic seconds and come in as arguments."""

    def __init__(
        self,
        model: str,
        periods: SettingsPeriods,
        counter: Callable[[str], Counter],
        histogram: Callable[[str], ModelHistogram],
        free_since: dict[str, float],
    ) -> None:
        """`counter` and `histogram` give a row of the table by its name.

        `free_since` is shared by the models of a process: since when each device has been free while something waits.
        """
        self._periods = periods
        self._batch_seconds = histogram("batch_seconds")
        self._batch_size = histogram("batch_size")
        self._queue_seconds = histogram("queue_seconds")
        self._prediction_ratio = histogram("batch_prediction_ratio")
        self._idle_gap_seconds = histogram("idle_gap_seconds")
        tokens, phases = counter("batch_tokens_total"), counter("phase_seconds_total")
        self._input_tokens, self._padding_tokens = tokens.labels(model, "input"), tokens.labels(model, "padding")
        self._phases = {phase: phases.labels(model, phase.value) for phase in Phase if phase is not Phase.TOKENIZE}
        self._running: dict[str, _Running] = {}
        self._free_since = free_since

    def begun(
        self, device: str, shape: Shape, variant: str, *, expected_seconds: float, copy_seconds: float, now: float
    ) -> int:
        """Count a batch that was just handed over; returns the number of its period of settings.

        `expected_seconds` is what was predicted, 0 = nothing; `copy_seconds` is what moving it into the slot took.
        """
        period = self._periods.variant_is(variant)
        self._running[device] = _Running(period, expected_seconds, copy_seconds, now)
        self._batch_size.observe(shape.rows, period)
        self._input_tokens.inc(shape.tokens)
        self._padding_tokens.inc(shape.padded_tokens - shape.tokens)
        free_since = self._free_since.pop(device, None)
        if free_since is not None:
            self._idle_gap_seconds.observe(now - free_since)
        return period

    def entered(self, waited_seconds: Sequence[float], period: int) -> None:
        """Count the requests whose last input has entered a batch, by how long each has waited."""
        for seconds in waited_seconds:
            self._queue_seconds.observe(seconds, period)
        self._phases[Phase.QUEUE].inc(sum(waited_seconds))

    def ended(self, device: str, message: wire.BatchDone | wire.BatchFailed, now: float, waiting: bool) -> None:
        """Count a batch that came back; `waiting`: others wait for a batch."""
        running = self._running.pop(device)
        self._free(device, now, waiting)
        if isinstance(message, wire.BatchFailed):
            return
        self._batch_seconds.observe(message.seconds, running.period)
        if running.expected_seconds > 0.0:
            self._prediction_ratio.observe(message.seconds / running.expected_seconds)
        self._phases[Phase.COPY_IN].inc(running.copy_seconds)
        self._phases[Phase.PASS].inc(message.seconds - message.copy_seconds)
        self._phases[Phase.COPY_OUT].inc(message.copy_seconds)
        self._phases[Phase.HANDOVER].inc(max(0.0, now - running.began_at - message.seconds))

    def answered(self, seconds: float) -> None:
        """Count the time that the front took to make answers of a batch's result."""
        self._phases[Phase.ANSWER].inc(seconds)

    def lost(self, device: str, now: float, waiting: bool) -> None:
        """Hear of a worker's death, with or without a batch."""
        self._running.pop(device, None)
        self._free(device, now, waiting)

    def _free(self, device: str, now: float, waiting: bool) -> None:
        if waiting:
            self._free_since[device] = now
        else:
            self._free_since.pop(device, None)
