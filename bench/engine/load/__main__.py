"""`python -m bench.engine.load`: a line of JSON in, a slice, a line of JSON out; ends with its input."""

from __future__ import annotations

import gc
import json
import os
import sys
from dataclasses import asdict
from typing import Any

from bench.engine.corpus import corpus
from bench.engine.load.live_load import LiveLoad
from bench.engine.load.slices import OpenSlice, SliceResult, Target, closed_slice
from bench.engine.load.wire import Lost
from dev.load.arrivals import constant

_targets: dict[tuple[str, str, int], Target] = {}
_live: dict[tuple[str, int, int], LiveLoad] = {}


def answer_to(order: dict[str, Any]) -> dict[str, Any]:
    """Run one slice, or one order about a live engine, and return its figures. Raises Lost, OSError."""
    if "live" not in order:
        return asdict(run(order))
    key = (order["live"], order["port"], order["rows"])
    if key not in _live:
        _live[key] = LiveLoad(*key)
    return _live[key].run(order)


def run(order: dict[str, Any]) -> SliceResult:
    """Run one slice. Raises Lost, OSError."""
    key = (order["workload"], order["dialect"], order["port"])
    target = _targets.get(key)
    if target is None:
        target = _targets[key] = Target(corpus(order["workload"]), order["dialect"], order["port"])
        gc.freeze()
    if order["kind"] == "closed":
        return closed_slice(target, order["root"], order["callers"], order["warm_seconds"], order["seconds"])
    arrivals = constant(order["rate"], order["seconds"], seed=order["seed"]).arrivals_seconds
    first = order["seed"] * 97 % len(target.requests)
    return OpenSlice(target, order["deadline_seconds"]).run(arrivals, order["root"], first)


def main() -> int:
    """Answer every line."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for line in sys.stdin:
        gc.collect()
        gc.disable()
        try:
            answer = answer_to(json.loads(line))
        except (Lost, OSError) as error:
            answer = {"failed": f"{type(error).__name__} {error}".strip()}
        gc.enable()
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
