"""Ticks on disk, to be run again: two files that take turns, so that the newest stay and a bound holds.

`trimtab-recording [NAMESPACE/NAME]` prints them, oldest first: `kubectl exec POD -- trimtab-recording > ticks.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from trimtab_api import OptimizationPolicy
from trimtab_operator.model.action import Step
from trimtab_operator.model.serialize import record_line
from trimtab_operator.model.snapshot import Snapshot

DIRECTORY_VARIABLE: Final = "TRIMTAB_RECORDING_DIRECTORY"
NEWER, OLDER = "ticks.jsonl", "ticks.older.jsonl"
NOTHING_THERE: Final = 1
_LONGEST_LINE_BYTES: Final = 2**20
_OF_LIMIT: Final = 0.45  # each of the two files; the rest is for what a file system needs besides

log = logging.getLogger(__name__)


class Recording:
    """Writes ticks into a directory, at most `limit_bytes` in all. A disk that fails ends no tick; it is logged."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory
        self._file_bytes = int(limit_bytes * _OF_LIMIT)
        self._failing = False
        self._mend()

    def add(self, snapshot: Snapshot, policy: OptimizationPolicy, step: Step) -> None:
        """Write one tick."""
        line = record_line(snapshot, policy, step).encode() + b"\n"
        newer = self._directory / NEWER
        try:
            if newer.exists() and newer.stat().st_size + len(line) > self._file_bytes:
                newer.replace(self._directory / OLDER)
            with newer.open("ab") as file:
                file.write(line)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warning("tick not recorded", extra={"pairs": {"error": str(error)}})
            self._failing = True

    def _mend(self) -> None:
        """Cut a line that a process before us did not finish."""
        newer = self._directory / NEWER
        if newer.exists():
            with newer.open("rb+") as file:
                end = file.seek(0, os.SEEK_END)
                start = file.seek(max(0, end - _LONGEST_LINE_BYTES))
                file.truncate(start + file.read().rfind(b"\n") + 1)


def recorded(directory: Path, policy: str | None) -> Iterator[str]:
    """Yield the recorded lines, oldest first, of all policies or of one (`namespace/name`)."""
    for path in (directory / OLDER, directory / NEWER):
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                whole = (line for line in lines if line.endswith("\n"))
                yield from (line for line in whole if policy is None or _policy_of(line) == policy)


def _policy_of(line: str) -> str:
    metadata = json.loads(line)["policy"]["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point `trimtab-recording`. Exit 1: nothing was recorded."""
    parser = argparse.ArgumentParser(prog="trimtab-recording", description="Print the ticks that this pod recorded.")
    parser.add_argument("policy", nargs="?", help="NAMESPACE/NAME; else all")
    policy = parser.parse_args(arguments).policy
    directory = os.environ.get(DIRECTORY_VARIABLE)
    found = False
    for line in recorded(Path(directory), policy) if directory else ():
        sys.stdout.write(line)
        found = True
    if not found:
        sys.stderr.write("trimtab-recording: nothing is recorded here; is recording.enabled set in the chart?\n")
    return 0 if found else NOTHING_THERE
