"""`python -m bench.scaling.sweep [--traces DIR] [--only NAME]`: choose settings, with one budget for all.

32 settings of each, the defaults among them, the others drawn evenly from its space; on one case of each family, with
a seed that the bench does not use, and the smallest fleet. The ones kept miss the objectives on the fewest cases; of
those alike, they have the smallest mean cost over the bound, where a case that is missed is charged the best constant;
then the one that missed by less. They are written to bench/scaling/settings.json with the hashes of the traces. A space
may hold fewer settings than the budget; then all of them are tried.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine.progress import say
from bench.scaling.cases import Case, parts
from bench.scaling.contenders import CHOSEN, CONSTANT, chosen, swept
from bench.scaling.contest import PROCESSES, Result, in_hindsight, with_settings
from bench.scaling.play import HOURLY_SHARE
from bench.scaling.profiles import OBJECTIVES
from bench.scaling.traffic import FAMILIES, TRACES

BUDGET = 32
SEED = 1000
CASES = (
    Case("azure-conv", 60.0, 4, SEED),
    Case("mooncake", 180.0, 4, SEED),
    Case("servegen-mid", 60.0, 4, SEED),
    Case("servegen-small", 600.0, 4, SEED),
)


def draws(settings: type[Any], space: dict[str, tuple[object, ...]], budget: int) -> list[Any]:
    """Return the defaults and settings drawn from a space, none twice."""
    dice = np.random.default_rng(SEED)
    found = [settings()]
    for _ in range(100 * budget):
        if len(found) == budget:
            break
        drawn = settings(**{name: values[dice.integers(len(values))] for name, values in space.items()})
        if drawn not in found:
            found.append(drawn)
    return found


def score(results: Sequence[Result], constants: Sequence[Result]) -> tuple[int, float, float]:
    """Return how many cases were missed, the mean charged cost over the bound, and by how much all were missed."""
    charged = [
        one.over_bound if one.outcome.reached else constant.over_bound
        for one, constant in zip(results, constants, strict=True)
    ]
    missed = [
        max(0.0, OBJECTIVES.share - each.outcome.attainment) + max(0.0, HOURLY_SHARE - each.outcome.worst_hour)
        for each in results
    ]
    return sum(not each.outcome.reached for each in results), float(np.mean(charged)), sum(missed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep all contenders and write what was chosen."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling.sweep", description=__doc__)
    parser.add_argument("--traces", type=Path, default=TRACES)
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--only", choices=sorted(swept()), help="choose the settings of one, keep those of the others")
    options = parser.parse_args(arguments)
    kept = {name: asdict(settings) for name, settings in chosen().items()}
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        constants = list(pool.map(partial(_constant, options.traces), CASES))
        for name in [options.only] if options.only else swept():
            settings, space = swept()[name]
            every = draws(settings, dict(space), options.budget)
            results = list(pool.map(partial(_played, options.traces, name), every))
            place = min(range(len(every)), key=lambda number: score(results[number], constants))
            missed, cost, by = score(results[place], constants)
            kept[name] = asdict(every[place])
            say(f"{name}: missed {missed} of {len(CASES)}, by {by:.3f}; {cost:+.3f} over the bound: {every[place]}")
    document = {"settings": kept, "budget": options.budget, "traces": _hashes(options.traces)}
    CHOSEN.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _constant(folder: Path, case: Case) -> Result:
    return in_hindsight(parts(folder, case))[CONSTANT]


def _played(folder: Path, name: str, settings: Any) -> list[Result]:
    return [with_settings(folder, case, name, settings) for case in CASES]


def _hashes(folder: Path) -> dict[str, str]:
    return {each.file: hashlib.sha256((folder / each.file).read_bytes()).hexdigest() for each in FAMILIES}


if __name__ == "__main__":
    sys.exit(main())
