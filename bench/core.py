"""`python -m bench.core [--json F] [--ticks FILE]`: what a tick of the pure core costs, on recorded ticks.

The ticks are a recording of the operator (`trimtab-recording`) in the end-to-end run, so snapshots are as large as real
ones: the fleet are 5 000 policies, the recorded ones in turn. CPU time of this process, one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.serialize import read_line
from trimtab_operator.model.snapshot import Snapshot
from trimtab_operator.trial.advance import advance

TICKS = Path(__file__).parent / "data" / "ticks.jsonl.gz"
FLEET = 5_000
FLOOR_SECONDS, AIM_SECONDS = 1e-3, 3e-4
FLOOR_FLEET_SECONDS = 5.0

Recorded = tuple[Snapshot, OptimizationPolicy]


def read(path: Path) -> list[Recorded]:
    """Return the snapshot and the policy of each recorded tick. Raises ValueError, OSError."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [read_line(line)[:2] for line in lines]


def decide(recorded: Recorded) -> None:
    """Run the core once, as a tick does."""
    snapshot, policy = recorded
    advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)


def cpu_seconds(ticks: Sequence[Recorded]) -> list[float]:
    """Return the CPU time of each."""
    marks = [time.process_time_ns()]
    for each in ticks:
        decide(each)
        marks.append(time.process_time_ns())
    return [(after - before) / 1e9 for before, after in pairwise(marks)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write JSON; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.core", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ticks", type=Path, default=TICKS)
    options = parser.parse_args(arguments)
    count = len(cpu_seconds(read(options.ticks)))  # the first pass also pays for imports and caches of the process
    costs: list[float] = []
    while len(costs) < FLEET:
        costs += cpu_seconds(read(options.ticks))
        if sys.stderr.isatty():
            print(f"\r{len(costs)} of {FLEET}", end="", file=sys.stderr, flush=True)
    tick, fleet = statistics.median(costs), sum(costs[:FLEET])
    met = tick <= FLOOR_SECONDS and fleet <= FLOOR_FLEET_SECONDS
    print(f"{count} recorded ticks, each read anew before it is taken")
    print(f"one tick, median: {tick * 1e3:.3f} ms (floor {FLOOR_SECONDS * 1e3:g}, aim {AIM_SECONDS * 1e3:g})")
    print(f"{FLEET} policies: {fleet:.2f} s of CPU (floor {FLOOR_FLEET_SECONDS:g}): {'met' if met else 'MISSED'}")
    if options.json is not None:
        figures = {"tick_seconds_median": tick, "fleet_5000_cpu_seconds": fleet}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
