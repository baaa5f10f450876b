"""Other ways to compute MiniLM on this core, each timed beside the engine's eager fp32 in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine.contenders import ONE_THREAD
from bench.engine.environments import environment
from bench.engine.errors import BenchError
from bench.engine.field import SERVER_CORE
from bench.engine.statistics import Ratio
from bench.server_process import server_environ
from dev.cluster.paths import REPOSITORY

SECONDS = 120.0


@dataclass(frozen=True)
class Timed:
    """How much faster than the engine's fp32 it is, and the mean cosine to it; without a ratio `why` says what failed.

    `late`: it was not ready in time, so it might yet be faster.
    """

    ratio: Ratio | None = None
    cosine: float | None = None
    why: str = ""
    late: bool = False

    def __str__(self) -> str:
        if self.ratio is None:
            return self.why
        return f"{self.ratio.mean:.3f} [{self.ratio.low:.3f}, {self.ratio.high:.3f}] of eager fp32's speed"


def compiled_fp32(batch_size: int) -> Timed:
    """Time MiniLM of transformers, compiled with dynamic shapes."""
    return _timed(Path(sys.executable), "compiled", batch_size)


def onnx_int8(batch_size: int) -> Timed:
    """Time ONNX Runtime with every linear layer in 8 bits, in its own environment."""
    try:
        python = environment("onnx") / "python"
    except BenchError as error:
        return Timed(why=str(error))
    return _timed(python, "onnx_int8", batch_size)


def _timed(python: Path, module: str, batch_size: int) -> Timed:
    command = ["taskset", "-c", str(SERVER_CORE), str(python), "-m", f"bench.engine.{module}", str(batch_size)]
    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=server_environ(ONE_THREAD),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Timed(why=f"not ready in {SECONDS:.0f} s", late=True)
    if done.returncode:
        return Timed(why=f"does not run here: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Timed(Ratio(**found["ratio"]), found["cosine"])
