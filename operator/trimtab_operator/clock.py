"""The only reader of time. Everything else is told what time it is, or given this port."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what people and Prometheus see, monotonic time for every deadline."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; they pass while the process or the machine is stopped, too."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, letting others run."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since boot. CLOCK_BOOTTIME also counts a suspended machine, which CLOCK_MONOTONIC does not."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait, letting others run."""
        await asyncio.sleep(seconds)
