"""The simulated NVML library, and readers of it in a process of their own: the loader reads its path at the start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.nvml.build import build
from fakes.nvml.readings import SimulatedGpu, write_readings

ROOT = Path(__file__).parents[3]
READER = """
import dataclasses, json, sys
from trimtab_agent.nvml import Nvml

now = [0.0]
nvml = Nvml(lambda: now[0])
for line in sys.stdin:
    now[0] = float(line)
    print(json.dumps(dataclasses.asdict(nvml.read())), flush=True)
"""


def environment(library: Path | None, readings: Path) -> dict[str, str]:
    """The environment of a program that sees the simulated GPUs; without `library` it finds no driver."""
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "agent"), str(ROOT / "tests")])}
    found = {**os.environ, **paths, "TRIMTAB_FAKE_NVML_READINGS": str(readings)}
    found["LD_LIBRARY_PATH"] = str(library) if library else ""
    return found


@dataclass(frozen=True)
class NvmlReader:
    """The agent's Nvml in a process of its own, with a clock that the test sets."""

    process: subprocess.Popen[str]

    def read(self, at_seconds: float = 0.0) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{at_seconds}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@dataclass(frozen=True)
class SimulatedNode:
    """A readings file, and ways to look at it."""

    library: Path
    readings: Path
    stack: ExitStack

    def write(self, *gpus: SimulatedGpu) -> None:
        write_readings(self.readings, gpus)

    def reader(self, library: Path | None = None) -> NvmlReader:
        """Start an agent's reader; `library` is the folder in which it looks for the driver."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", READER],
            env=environment(library or self.library, self.readings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.stack.callback(process.wait, timeout=10)
        self.stack.callback(process.stdout.close)  # type: ignore[union-attr]
        self.stack.callback(process.stdin.close)  # type: ignore[union-attr]
        return NvmlReader(process)

    def python(self, code: str) -> str:
        """Output of a program that uses pynvml itself."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env=environment(self.library, self.readings), capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def node(tmp_path: Path) -> Iterator[SimulatedNode]:
    """A node with simulated GPUs, none of them written yet."""
    with ExitStack() as stack:
        yield SimulatedNode(build(), tmp_path / "readings", stack)
