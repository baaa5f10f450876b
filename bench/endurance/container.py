"""A memory cgroup of our own around the engine, where this machine lets us make one; v1 and v2.

It lies below the cgroup of this process, so that every limit above it holds on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from trimtab_engine.memory.cgroup import V1, V2, memory_path, reading_of

MOUNTS = Path("/sys/fs/cgroup")
_CLOSE_SECONDS = 5.0


class MemoryContainer:
    """One cgroup; `close` removes it once its processes have ended."""

    def __init__(self, directory: Path, version_1: bool) -> None:
        self._directory = directory
        self._files = V1 if version_1 else V2

    def enter(self) -> None:
        """Move this process in: for the engine's process, between fork and exec."""
        (self._directory / "cgroup.procs").write_text(str(os.getpid()))

    def used_bytes(self) -> int:
        """Return what its processes use, as the engine counts it."""
        texts = {name: (self._directory / name).read_text() for name in self._files.names}
        reading = reading_of(self._files, texts | {self._files.limit: str(1 << 50)})
        assert reading is not None
        return reading.used_bytes

    def limit(self, limit_bytes: int) -> None:
        """Let its processes be killed beyond so many bytes."""
        (self._directory / self._files.limit).write_text(str(limit_bytes))

    def kills(self) -> int:
        """Return how many processes the kernel has killed in it."""
        name = "memory.oom_control" if self._files is V1 else "memory.events"
        pairs = dict(line.split() for line in (self._directory / name).read_text().splitlines())
        return int(pairs.get("oom_kill", 0))

    def close(self) -> None:
        """Remove it, once the kernel has let go of the processes that were ended; it waits some seconds for that."""
        end = time.monotonic() + _CLOSE_SECONDS
        while time.monotonic() < end:
            try:
                self._directory.rmdir()
            except OSError:
                time.sleep(0.05)
            else:
                return


def make_container(name: str) -> MemoryContainer | None:
    """Make the cgroup; None where that is not allowed here."""
    found = memory_path(Path("/proc/self/cgroup").read_text())
    if found is None:
        return None
    version_1 = found[0] is V1
    directory = (MOUNTS / "memory" if version_1 else MOUNTS).joinpath(*found[1].parts[1:], name)
    try:
        directory.mkdir()
    except OSError:
        return None
    if not (directory / found[0].usage).is_file():
        directory.rmdir()
        return None
    return MemoryContainer(directory, version_1)
