"""`python -m bench.engine`: Trimtab's engine beside mosec, LitServe, BentoML, Ray Serve and Infinity, and by itself.

Every contender serves the same weights on one core and is loaded from the other, in turns; a ratio is the geometric
mean of paired slices with a 95 % bootstrap interval, and a floor is met when the lower bound meets it. Exit code: 0
when every floor that was judged is met, 1 when one is missed, 2 when something could not be run, 3 when something was
run and nothing can be said of it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.engine.busy import other_load, warning
from bench.engine.catalog import MEASURES
from bench.engine.errors import BenchError
from bench.engine.extent import ENDURANCE_ALONE, FULL, QUICK, Extent
from bench.engine.plan import LEAST_SHARE, WHOLE_SECONDS, Part, ends, sweep_part, table
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.run import Run
from bench.engine.sweep import Sweeps

MISSED, BROKEN, UNRESOLVED = 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measures that are asked for and print them."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--rivals", nargs="+", default=[], metavar="RIVAL", help="fewer rivals; judges nothing")
    parser.add_argument("--quick", action="store_true", help="few short slices: shows that it runs, judges nothing")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(BROKEN))  # servers in sessions of their own end with us
    load = other_load()
    found = [Result("cores that others take", trimtab=sum(load.values()), note=warning(load))]
    say(found[0].note or "this machine is quiet")
    try:
        for rows in run_all(options.only, options.rivals, _extent(options)):
            found.extend(rows)
            if options.json is not None:
                options.json.write_text(json.dumps([each.document() for each in found], indent=2) + "\n")
    finally:
        for result in found:
            print(result.line())
    return exit_code(found)


def _extent(options: argparse.Namespace) -> Extent:
    if options.quick or options.rivals:
        return QUICK
    if options.only == ["endurance"]:
        return ENDURANCE_ALONE
    return FULL


def planned(names: Sequence[str], rivals: Sequence[str], extent: Extent) -> list[Part]:
    """Return the parts of a run in their order: each sweep before the first measure that needs it."""
    parts: list[Part] = []
    swept: set[str] = set()
    for name in names:
        for workload in MEASURES[name].workloads:
            if workload not in swept:
                swept.add(workload)
                parts.append(sweep_part(workload, rivals, extent))
        parts.append(Part(name, MEASURES[name].seconds(extent)))
    return parts


def run_all(names: Sequence[str], rivals: Sequence[str], extent: Extent) -> Iterator[list[Result]]:
    """Yield the rows of each measure. What fails becomes a row that says why, and the rest goes on."""
    parts = planned(names, rivals, extent)
    say(table(parts))
    over_at = ends(parts, time.monotonic(), WHOLE_SECONDS)
    sweeps = Sweeps(extent, rivals)
    for name in names:
        measure = MEASURES[name]
        for workload in measure.workloads:
            began = time.monotonic()
            sweeps.of(workload)
            if time.monotonic() - began > 1.0:
                say(f"sweep of {workload}: {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        ends_at = max(over_at[name], began + LEAST_SHARE * measure.seconds(extent))
        try:
            rows = measure.run(Run(extent, sweeps, ends_at))
        except BenchError as error:
            rows = [Result(name, note=str(error), broken=str(error))]
        say(f"{name}: {time.monotonic() - began:.0f} s of {measure.seconds(extent):.0f} s planned")
        yield rows


def exit_code(found: Sequence[Result]) -> int:
    """Return what the run says as a whole."""
    if any(each.broken for each in found):
        return BROKEN
    if any(not each.resolved for each in found):
        return UNRESOLVED
    return MISSED if any(each.met is False for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
