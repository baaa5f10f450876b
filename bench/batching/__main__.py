"""`python -m bench.batching [--json F] [--seconds S] [--seeds N]`: the rule of the engine against others, simulated.

`paced`: a pass takes 4 + 0.4 n milliseconds with 5 % noise, a request has 30 ms. `powers`: the same where a pass takes
as long as one of the next power of two. `slow`: 2 + 13.5 n milliseconds of 200, 16 rows at most. With 8 to 256 tokens:
`dense`, 4 ms, 0.1 ms a row and 5 us a place of the padded batch, 100 ms; `packed`, 4 ms, 1 ms a row and 0.25 ms a
token, 200 ms. Capacity is the highest rate at which 99 % of the requests offered are answered in time; beside it what
is possible at all (`limits`). Goodput is the rate answered in time at 1.3 and 1.5 times the saturation rate, as a share
of it. CORK is BentoML's rule without BentoML; fixed is a full batch or 5 ms. Intervals: 95 %, bootstrap over seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.batching.measures import Row, ablation, adaptive, capacities, decision_costs, goodputs
from bench.batching.trace import DENSE, IN_POWERS, PACED, PACKED, SLOW, bursty, mixed, poisson

_FIRST_SEED = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every row as it is found."""
    parser = argparse.ArgumentParser(prog="python -m bench.batching", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--seconds", type=float, default=10.0, help="simulated, for each rate that is tried")
    parser.add_argument("--seeds", type=int, default=5, help="how many traces of each kind")
    options = parser.parse_args(arguments)
    seconds, seeds = options.seconds, range(_FIRST_SEED, _FIRST_SEED + options.seeds)
    parts: list[Callable[[], list[Row]]] = [
        decision_costs,
        lambda: capacities(PACED, poisson, seconds, seeds),
        lambda: capacities(PACED, bursty, seconds, seeds),
        lambda: capacities(IN_POWERS, poisson, seconds, seeds),
        lambda: capacities(SLOW, poisson, 4.0 * seconds, seeds),
        lambda: capacities(DENSE, mixed, seconds, seeds),
        lambda: capacities(PACKED, mixed, 6.0 * seconds, seeds),  # few requests a second
        lambda: goodputs(seconds, seeds),
        lambda: ablation(seconds, seeds),
        lambda: adaptive(seconds, _FIRST_SEED),
    ]
    rows: list[Row] = []
    for part in parts:
        for row in part():
            rows.append(row)
            figures = (f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float))
            print(f"{row['measure']:42} {row['rule']:14}", "  ".join(figures), flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
