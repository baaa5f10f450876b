"""A program of ours beside the bench that is told by lines of JSON what to do and answers each with one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from bench.engine.errors import BenchError
from bench.server_process import SOURCES
from dev.cluster.paths import REPOSITORY

_PATH = os.pathsep.join((SOURCES, str(REPOSITORY / "tests")))  # the agent that the bench plays is that of the fakes


class LineProcess:
    """One started program; `close` ends it."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": _PATH},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, order: dict[str, Any]) -> None:
        """Send an order; its answer is taken with `hear`. Raises BenchError."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise BenchError(f"{self._module} has ended; its words stand above") from error

    def hear(self) -> dict[str, Any]:
        """Return the answer to the oldest order that has none yet. Raises BenchError."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._module} has ended; its words stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Send an order and return its answer. Raises BenchError."""
        self.tell(order)
        return self.hear()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
