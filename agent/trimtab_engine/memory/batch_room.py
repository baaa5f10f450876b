"""Which batches may be formed on one device: the learned memory of passes against the room that is left. Pure."""

from __future__ import annotations

import math

from trimtab_engine.memory.ladder import UP_AT, Step
from trimtab_engine.memory.measured import PassMeasured
from trimtab_engine.memory.pass_memory import PassMemory
from trimtab_engine.memory.reading import MemoryReading

PLANNED_SHARE = UP_AT[Step.SMALL_BATCHES]
"""Batches are formed up to this share of the room above the idle engine, so that only the unforeseen climbs further."""

MEASURE_SECONDS = 5.0


def room_bytes(reading: MemoryReading | None, idle_bytes: int, reusable_bytes: int) -> float:
    """Return the bytes that a pass may take; infinite where nothing is limited.

    `reusable_bytes` are those of the reading that the worker holds above its idle state: those of the pass that is
    running or was, which the next one takes over.
    """
    if reading is None:
        return math.inf
    planned = idle_bytes + PLANNED_SHARE * (reading.limit_bytes - idle_bytes)
    return planned - reading.used_bytes + reusable_bytes


class BatchRoom:
    """The learned passes of every model on one device, and when to measure one."""

    def __init__(self, room_bytes: float | None) -> None:
        """`room_bytes` None = there is a limit, and nobody has looked yet how far away it is."""
        self.room_bytes = room_bytes
        self.reusable_bytes = 0
        self._passes: dict[str, PassMemory] = {}
        self._seen: set[tuple[str, int, int]] = set()
        self._measured_at = -math.inf

    def most_items(self, model: str, length: int, now: float) -> int | None:
        """Return the most items padded to `length` that one batch may hold; None = any number, 0 = not even one.

        One while the room is not known: nothing is refused for want of a look.
        """
        if self.room_bytes is None:
            return 1
        return self._of(model).most_items(length, self.room_bytes, now)

    def to_measure(self, model: str, items: int, length: int, now: float) -> bool:
        """Whether this batch's memory should be measured: the first ones of their size, and one every five seconds.

        And each that fits only into what the worker holds already: heap in pieces is of no use to it, so that it has to
        be given back first.
        """
        predicted = self.predict(model, items, length)
        unused = 0.0 if self.room_bytes is None else self.room_bytes - self.reusable_bytes
        if predicted is not None and predicted > unused:
            return True
        cell = (model, items.bit_length(), length.bit_length())
        return cell not in self._seen or now - self._measured_at >= MEASURE_SECONDS

    def learn(self, model: str, items: int, length: int, measured: PassMeasured, now: float) -> None:
        """Note what a worker has measured of a pass."""
        self._measured_at = now
        self._seen.add((model, items.bit_length(), length.bit_length()))
        if measured.extra_bytes is not None:
            self._of(model).learn(items, length, measured.extra_bytes)

    def ran_out(self, model: str, items: int, length: int, now: float) -> None:
        """Lower the cap after a batch found no memory."""
        self._of(model).ran_out(items, length, now)

    def predict(self, model: str, items: int, length: int) -> float | None:
        """Return the most bytes that such a pass takes beside what is held; None before anything was measured."""
        return self._of(model).predict(items, length)

    def _of(self, model: str) -> PassMemory:
        known = self._passes.get(model)
        if known is None:
            known = self._passes[model] = PassMemory()
        return known
