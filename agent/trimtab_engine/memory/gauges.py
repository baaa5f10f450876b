"""What is exposed of the memory's guard."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from trimtab_engine.memory.ladder import Step
from trimtab_engine.memory.reading import MemoryReading


class MemoryMetrics:
    """Gauges and counters of the ladder; a reading that is absent has no series."""

    def __init__(self, step: Gauge, moves: Counter, bytes_: Gauge, out_of_memory: Counter, model: str) -> None:
        self._step = step
        self._moves = {direction: moves.labels(direction) for direction in ("up", "down")}
        self._bytes = bytes_
        self._out_of_memory = out_of_memory
        out_of_memory.labels(model)

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
