"""CPU time of a server's processes, in nanosecond steps, by the kernel's clock of each process.

/proc/PID/stat counts in ticks of 10 ms, which is too coarse for slices of half a second.
"""

from __future__ import annotations

import time
from collections.abc import Iterable


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the sum over processes, threads that have ended included; a process that is gone counts 0."""
    return sum(map(_of, pids))


def _of(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0
