"""`python -m bench.verdicts [--json F] [--runs N]`: how often the verdict errs, on what production contains.

Trials of equal arms and of changes that help or hurt, on simulated fleets (bench/verdicts/production.py), judged by the
operator's own functions. Exit status 1 where a floor is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

from bench.engine.progress import say
from bench.verdicts.scenarios import SCENARIOS, Row, Scenario, repeat, row_of

RUNS, WORKERS, CHUNK = 2000, 2, 5
SAY_SECONDS = 15.0


def measure(scenario: Scenario, runs: int, workers: ProcessPoolExecutor) -> Row:
    """Repeat a scenario, each time with the random numbers of its own number, and tell how far it is."""
    found, said = [], time.monotonic()
    repetitions = max(1, round(runs * scenario.share))
    for one in workers.map(repeat, [scenario] * repetitions, range(repetitions), chunksize=CHUNK):
        found.append(one)
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            say(f"{scenario.name}: {len(found)} of {repetitions}, {sum(each.counted for each in found)} counted")
    return row_of(scenario, found)


def line(row: Row) -> str:
    """Write a row of the table."""
    allowed = "-" if row.most is None else f"{row.most:.0%}"
    verdict = "" if row.met is None else "met" if row.met else "MISSED"
    return (
        f"{row.scenario:38} {row.counts:25} {row.counted:4d} of {row.runs:4d} {row.ratio:7.2%}"
        f" ± {row.standard_error:.2%}  to {row.upper_limit:6.2%}  {allowed:>4} {verdict:6}"
        f"  {row.run_in_seconds_median:4.0f} s + {row.measured_seconds_median:4.0f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a floor is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.verdicts", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--runs", type=int, default=RUNS, help="whole policy runs of equal arms; other scenarios do a part"
    )
    options = parser.parse_args(arguments)
    begun, rows = time.monotonic(), []
    print(f"{'scenario':38} {'counted':25} {'':12} {'ratio':>7}   error  95 %: to  most         run-in + measured")
    with ProcessPoolExecutor(WORKERS) as workers:
        for scenario in SCENARIOS:
            rows.append(measure(scenario, options.runs, workers))
            print(line(rows[-1]), flush=True)
    print(f"{time.monotonic() - begun:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 1 if any(row.met is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
