"""Looks at processes through /proc: which container each belongs to, what its mounts say, and which network it is in.

Neither capabilities nor the host's pid namespace are needed: `cgroup`, `mountinfo` and `net/dev` of any process are
readable by all, and the inode of `net/dev` differs between network namespaces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Set
from pathlib import Path

from trimtab_agent.cgroup_paths import place_of_process

MAX_PROCESSES = 65_536
MAX_FILE_BYTES = 1024 * 1024
PATIENCE_SCANS = 12
"""Scans of all of /proc for a cgroup without process before they become rare: one minute at 5 s a tick."""


class ProcessTable:
    """One live process of each container, remembered so that all of /proc is read only for new containers."""

    def __init__(self, proc_root: Path) -> None:
        self._root = proc_root
        self._pids: dict[str, int] = {}
        self._misses: dict[str, int] = {}

    def exists(self) -> bool:
        """Tell whether there is a process file system to look at."""
        return (self._root / "1").is_dir()

    def find(self, container_ids: Set[str]) -> dict[str, int]:
        """Map container id to the pid of one of its live processes; a container without one is left out.

        A cgroup exists a moment before its first process, and may linger after the last: one without a process is
        looked for at every call at first, and later only now and then.
        """
        alive = {key: pid for key, pid in self._pids.items() if key in container_ids and self._container(pid) == key}
        missing = container_ids - alive.keys()
        if any(self._is_worth_a_scan(self._misses.get(key, 0)) for key in missing):
            for pid in self._all_pids():
                container_id = self._container(pid)
                if container_id in missing:
                    alive.setdefault(container_id, pid)
        self._misses = {key: self._misses.get(key, 0) + 1 for key in container_ids - alive.keys()}
        self._pids = alive
        return dict(alive)

    def mounts(self, pid: int) -> str:
        """Return the text of mountinfo; empty when the process is gone."""
        return self._text(pid, "mountinfo")

    def traffic(self, pid: int) -> str:
        """Return the text of net/dev as the process sees it; empty when the process is gone."""
        return self._text(pid, "net/dev")

    def network(self, pid: int) -> int | None:
        """Return a number that is the same for processes of one network namespace; None when the process is gone."""
        try:
            return (self._root / str(pid) / "net" / "dev").stat().st_ino
        except OSError:
            return None

    @staticmethod
    def _is_worth_a_scan(misses: int) -> bool:
        return misses < PATIENCE_SCANS or misses % PATIENCE_SCANS == 0

    def _container(self, pid: int) -> str | None:
        place = place_of_process(self._text(pid, "cgroup"))
        return None if place is None else place.container_id

    def _all_pids(self) -> Iterator[int]:
        with os.scandir(self._root) as entries:
            pids = sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
        yield from pids[:MAX_PROCESSES]

    def _text(self, pid: int, name: str) -> str:
        try:
            with (self._root / str(pid) / name).open(errors="replace") as file:
                return file.read(MAX_FILE_BYTES)
        except OSError:
            return ""
