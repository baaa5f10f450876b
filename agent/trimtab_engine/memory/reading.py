"""One reading of a pool of memory, and how much of what is free to use is taken. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """Bytes taken in one pool, the container's or the device's, and the bytes at which it is full."""

    used_bytes: int
    limit_bytes: int

    @property
    def free_bytes(self) -> int:
        """Bytes up to the limit; negative beyond it."""
        return self.limit_bytes - self.used_bytes


def pressure(reading: MemoryReading | None, idle_bytes: int) -> float | None:
    """Return the share of the room that is taken: 0 = what the idle engine needs, 1 = the limit; None = no limit.

    The idle engine is left out because nothing can give it back: a pod whose limit is close above it would be under
    pressure for ever. A limit below the idle engine is infinite pressure.
    """
    if reading is None:
        return None
    room = reading.limit_bytes - idle_bytes
    return (reading.used_bytes - idle_bytes) / room if room > 0 else math.inf


def tightest(readings: list[MemoryReading]) -> MemoryReading | None:
    """Return the reading that leaves the fewest bytes; None where nothing is limited."""
    return min(readings, key=lambda reading: reading.free_bytes, default=None)
