"""`python -m bench.wire`: how long settings take from NodeTuning's spec to the engines, and the agent's memory.

One real engine in a pod on the running cluster (bench/wire_engine.py), and many simulated ones on one real agent
process beside a fake API server (bench/wire_crowd.py). What is missing is brought up.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.server_process import SOURCES
from bench.wire_crowd_figures import CrowdFigures
from bench.wire_engine import measure_engine
from dev.cluster.paths import REPOSITORY
from dev.demo.errors import DemoError
from dev.demo.narration import Narrator
from dev.demo.table import align
from dev.load.figures import percentile

MEBIBYTE = 1024 * 1024
ONE_ENGINE_SECONDS = 1.0
CROWD_SECONDS = 3.0
AGENT_BYTES = 100 * MEBIBYTE
FEWEST_CHANGES = 40
CROWD_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Row:
    """One figure beside its aim; `aim` None is a figure without one. Both in `unit`."""

    figure: str
    measured: float
    unit: str
    aim: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the aim is kept."""
        return self.aim is None or self.measured <= self.aim


def rows(engine_seconds: Sequence[float], crowd: CrowdFigures) -> list[Row]:
    """Reduce everything that was measured to the published figures."""
    one = f"spec to engine, one pod, {len(engine_seconds)} changes"
    many = f"spec to reports, {crowd.engines} simulated engines, {crowd.changes} changes"
    return [
        *_spread(one, engine_seconds, ONE_ENGINE_SECONDS),
        *_spread(many, crowd.seconds, CROWD_SECONDS),
        Row(
            f"agent, resident, {crowd.engines} engines", crowd.resident_bytes / MEBIBYTE, "MiB", AGENT_BYTES / MEBIBYTE
        ),
    ]


def _spread(figure: str, seconds: Sequence[float], aim: float) -> list[Row]:
    middle, high = percentile(seconds, 0.50), percentile(seconds, 0.95)
    if middle is None or high is None:
        raise DemoError(f"{figure}: nothing was measured")
    return [
        Row(f"{figure}: p50", middle, "s"),
        Row(f"{figure}: p95", high, "s", aim),
        Row(f"{figure}: max", max(seconds), "s"),
    ]


def table(found: Sequence[Row]) -> str:
    """Return one line for each figure."""
    lines = [("", ["aim", "measured", ""])]
    for row in found:
        aim = "-" if row.aim is None else f"<= {row.aim:g} {row.unit}"
        verdict = "" if row.aim is None else ("holds" if row.holds else "MISSED")
        lines.append((row.figure, [aim, f"{row.measured:.3g} {row.unit}", verdict]))
    return align(lines)


def measure_crowd() -> CrowdFigures:
    """Run bench.wire_crowd, with the fakes of the tests on its path. Raises DemoError."""
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{REPOSITORY / 'tests'}"}
    command = [sys.executable, "-m", "bench.wire_crowd"]
    try:
        done = subprocess.run(
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True,
            timeout=CROWD_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"`python -m bench.wire_crowd` did not end within {CROWD_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        raise DemoError(f"`python -m bench.wire_crowd` failed: {done.stderr.strip()[-1000:]}")
    return CrowdFigures(**json.loads(done.stdout))


def changes(text: str) -> int:
    """Parse the number of changes; fewer say nothing about a p95."""
    count = int(text)
    if count < FEWEST_CHANGES:
        raise argparse.ArgumentTypeError(f"{count} changes are too few for a p95: at least {FEWEST_CHANGES}")
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures: 0 when every aim is kept, 1 when one is missed, 2 when they cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.wire", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--changes", type=changes, default=FEWEST_CHANGES, help="changes of the one real engine")
    options = parser.parse_args(arguments)
    narrator = Narrator()
    try:
        narrator.headline("One real engine in a pod")
        engine_seconds = measure_engine(options.changes, narrator)
        narrator.headline("One real agent process, many SIMULATED engines, a fake API server, all on this machine")
        crowd = measure_crowd()
        found = rows(engine_seconds, crowd)
    except DemoError as error:
        narrator.failure(f"wire: {error}")
        return 2
    narrator.block(table(found))
    if options.json is not None:
        document = {
            "rows": [{**asdict(row), "holds": row.holds} for row in found],
            "engine_seconds": engine_seconds,
            "crowd": asdict(crowd),
            "simulated": "the engines of the crowd and their API server; the agent and the one engine are real",
        }
        options.json.write_text(json.dumps(document, indent=2))
    return 0 if all(row.holds for row in found) else 1


if __name__ == "__main__":
    sys.exit(main())
