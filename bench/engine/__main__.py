"""`python -m bench.engine`: Trimtab's engine beside mosec, LitServe, BentoML, Ray Serve and Infinity.

Every contender serves the same weights on one core and is loaded from the other, in turns; a ratio is the geometric
mean of paired slices with a 95 % bootstrap interval, and a floor is met when the lower bound meets it. Exit code: 0
when every floor that was judged is met, 1 when one is missed, 2 when something could not be run, 3 when ourselves
beside ourselves do not come out as equal and nothing can be said.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.engine.errors import BenchError
from bench.engine.extent import FULL, QUICK, Extent
from bench.engine.measures import capacity, framework_cost, front_memory, overload
from bench.engine.measures.line_up import say
from bench.engine.results import Result

MISSED, BROKEN, UNRESOLVED = 1, 2, 3
Measure = Callable[[Extent, Sequence[str]], list[Result]]
MEASURES: dict[str, Measure] = {
    "framework-cost": lambda extent, rivals: [framework_cost.measure(extent, rivals)],
    "capacity": lambda extent, rivals: capacity.measure(capacity.MINILM, extent, rivals),
    "paced": lambda extent, rivals: capacity.measure(capacity.PACED, extent, rivals),
    "overload": overload.measure,
    "mixed": lambda extent, rivals: capacity.measure(capacity.MIXED, extent, rivals),
    "front-memory": lambda extent, _: [front_memory.measure(extent)],
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measures that are asked for and print them."""
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--rivals", nargs="+", default=[], metavar="RIVAL", help="fewer rivals; judges nothing")
    parser.add_argument("--quick", action="store_true", help="few short slices: shows that it runs, judges nothing")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(BROKEN))  # servers in sessions of their own end with us
    extent = QUICK if options.quick or options.rivals else FULL
    found: list[Result] = []
    broken = False
    for name in options.only:
        began = time.monotonic()
        try:
            found += MEASURES[name](extent, options.rivals)
        except BenchError as error:
            broken = True
            found.append(Result(name, note=str(error)))
        say(f"{name}: {time.monotonic() - began:.0f} s")
        if options.json is not None:
            options.json.write_text(json.dumps([each.document() for each in found], indent=2) + "\n")
    for each in found:
        print(each.line())
    return exit_code(found, broken=broken)


def exit_code(found: Sequence[Result], *, broken: bool) -> int:
    """Return what the run says as a whole."""
    if broken:
        return BROKEN
    if any(not each.resolved for each in found):
        return UNRESOLVED
    return MISSED if any(each.met is False for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
