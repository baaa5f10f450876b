"""What is exposed of the memory's guard."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge

from trimtab_engine.memory.ladder import Step
from trimtab_engine.memory.reading import MemoryReading


class MemoryMetrics:
    """Gauges and counters of the ladder; a reading that is absent has no series."""

    def __init__(self, gauge: Callable[[str], Gauge], counter: Callable[[str], Counter]) -> None:
        """Take the metrics by the part of their names after `trimtab_engine_`."""
        moves = counter("memory_ladder_moves_total")
        self._step = gauge("memory_ladder_step")
        self._moves = {direction: moves.labels(direction) for direction in ("up", "down")}
        self._bytes = gauge("memory_bytes")
        self._out_of_memory = counter("out_of_memory_total")

    def read(self, container: MemoryReading | None, idle_bytes: int | None) -> None:
        """Publish the container's reading and what the idle engine takes of it."""
        if container is not None:
            self._bytes.labels("used").set(container.used_bytes)
            self._bytes.labels("limit").set(container.limit_bytes)
        if idle_bytes is not None:
            self._bytes.labels("idle").set(idle_bytes)

    def moved(self, before: Step, after: Step) -> None:
        """Publish a move of the ladder."""
        self._step.set(after)
        self._moves["up" if after > before else "down"].inc()

    def ran_out(self, model: str) -> None:
        """Count a batch that found no memory."""
        self._out_of_memory.labels(model).inc()
