"""Resident memory of a process, from /proc: bytes now, and the most since it was reset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_RESET_PEAK = "5"  # proc(5), clear_refs: resets the high-water mark and touches no page


@dataclass(frozen=True, slots=True)
class Resident:
    """Resident bytes of a process, the most since its last reset or its start, and what of them is mapped files."""

    bytes: int
    peak_bytes: int
    file_bytes: int


def resident_bytes(pid: int | str = "self") -> int | None:
    """Return the resident bytes of a process; None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[1]) * _PAGE_BYTES


def read_resident() -> Resident | None:
    """Return this process's resident bytes and their high-water mark; None where /proc does not tell."""
    try:
        return parse_status(Path("/proc/self/status").read_text())
    except OSError:
        return None


def parse_status(status: str) -> Resident | None:
    """Return VmRSS, VmHWM and RssFile of the text of /proc/PID/status."""
    kilobytes = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in status.splitlines())
        if name in ("VmRSS", "VmHWM", "RssFile")
    }
    if len(kilobytes) != 3:
        return None
    return Resident(kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024, kilobytes["RssFile"] * 1024)


def reset_peak() -> bool:
    """Let the high-water mark begin anew. Returns False where the kernel does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return False
    return True
