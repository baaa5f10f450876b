"""A server that a bench starts, watches and ends: one process with all that it starts, its log in a file of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dev.cluster.paths import REPOSITORY

SOURCES = os.pathsep.join(str(path) for path in (REPOSITORY, REPOSITORY / "agent", REPOSITORY / "crds"))
"""PYTHONPATH of a program that runs from this checkout."""
_END_SECONDS = 10.0
_LAST_CHARACTERS = 600


class ServerProcess:
    """One started server; `close` ends it and everything that it started."""

    def __init__(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        core: int | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        """Start it with our sources importable and none of our own TRIMTAB_* and BENCH_* variables.

        `core` pins it; `before_exec` runs between fork and exec.
        """
        self._log = tempfile.NamedTemporaryFile(prefix="trimtab-bench-")  # noqa: SIM115
        self._process = subprocess.Popen(
            [*([] if core is None else ["taskset", "-c", str(core)]), *command],
            cwd=REPOSITORY,
            env=server_environ(variables),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            preexec_fn=before_exec,  # noqa: PLW1509  benches start their servers before any thread
        )

    @property
    def pid(self) -> int:
        """The first process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the first process is running."""
        return self._process.poll() is None

    def words(self) -> str:
        """Return the end of the log."""
        return Path(self._log.name).read_text(errors="replace").strip()[-_LAST_CHARACTERS:]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of the log that are JSON objects of this event, as the engine writes them."""
        lines = Path(self._log.name).read_text(errors="replace").splitlines()
        return [event for line in lines if (event := _event(line)).get("event") == name]

    def wait_for(self, name: str, seconds: float, condition: Callable[[dict[str, Any]], bool] = lambda _: True) -> Any:
        """Return the newest event of that name that meets the condition. Raises TimeoutError with the log's end."""
        end = time.monotonic() + seconds
        while True:
            found = [event for event in self.events(name) if condition(event)]
            if found:
                return found[-1]
            if time.monotonic() > end or not self.alive:
                raise TimeoutError(f"no event {name!r}; the log ends:\n{self.words()}")
            time.sleep(0.05)

    def close(self) -> None:
        """End it, politely first, and then what is left of its tree."""
        members = tree(self.pid)
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in members - {self.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._log.close()


def _event(line: str) -> dict[str, Any]:
    """Return the object on a line of a log; empty for the words of libraries, and for a line that is half written."""
    try:
        found = json.loads(line) if line.startswith("{") else {}
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def server_environ(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process: ours without TRIMTAB_* and BENCH_*, our sources importable, and these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRIMTAB_", "BENCH_"))}
    return {**kept, "PYTHONPATH": SOURCES, "PYTHONUNBUFFERED": "1", **variables}


def tree(root: int) -> set[int]:
    """Return a process and all its descendants."""
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                waiting += [int(word) for word in children.read_text().split()]
            except OSError:
                continue
    return found
