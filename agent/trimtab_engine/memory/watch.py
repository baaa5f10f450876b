"""The clock of the memory's guard: takes the readings four times a second and hands them over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping

from trimtab_engine.memory.cgroup import ContainerMemory
from trimtab_engine.memory.guard import LOOK_SECONDS, Look, MemoryGuard
from trimtab_engine.memory.reading import MemoryReading
from trimtab_engine.memory.resident import resident_bytes


class MemoryWatch:
    """Reads the container's cgroup, or, with a limit of its own, the resident memory of front and workers."""

    def __init__(
        self,
        guard: MemoryGuard,
        limit_bytes: int | None,
        workers: Callable[[], Mapping[str, int | None]],
        looked: Callable[[float], None],
    ) -> None:
        """`workers` gives process ids by device, None for one that is not ready; `looked` hears when each look was."""
        self._guard = guard
        self._limit_bytes = limit_bytes
        self._workers = workers
        self._looked = looked
        self._container = ContainerMemory()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look now and from now on."""
        workers = {device: None if pid is None else resident_bytes(pid) for device, pid in self._workers().items()}
        look = Look(self._reading(workers.values()), workers, None not in workers.values())
        now = time.monotonic()
        self._guard.look(look, now)
        self._looked(now)
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self.start)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _reading(self, workers: Iterable[int | None]) -> MemoryReading | None:
        if self._limit_bytes is None:
            return self._container.read()
        used = (resident_bytes() or 0) + sum(each for each in workers if each is not None)
        return MemoryReading(used, self._limit_bytes)
