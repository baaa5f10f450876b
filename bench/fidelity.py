"""`python -m bench.fidelity [--surfaces DIR] [--json F]`: how well the simulated replica meets measured ones.

Each configuration of InferenceX is calibrated on its lowest and its second highest load, and judged on all others,
beside log-log interpolation of the same two points. Capacity is the number of clients at which time per token is what
it was measured to be at a level that was not used.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.engine.progress import say
from trimtab_replay.calibration import calibrate
from trimtab_replay.closed_loop import Level, run_closed_loop
from trimtab_replay.serving import ServingModel

SURFACES = Path(__file__).parents[2] / "shared" / "data" / "surfaces"
PATTERN = "inferencex*grids.csv"
NEEDED = ("grid", "backend", "precision", "tp", "concurrency", "isl", "osl", "ttft_ms", "tpot_ms")
FEWEST_LEVELS = 4
MEDIAN_FLOOR, HIGH_FLOOR, CAPACITY_FLOOR = 0.15, 0.40, 0.10
BISECTIONS = 7

Configuration = tuple[str, ...]


class UnfitSurfaceError(Exception):
    """A folder of surfaces lacks a file or a column."""


@dataclass(frozen=True)
class Errors:
    """Relative errors of one measure at the levels that were not used, ours and the interpolation's."""

    measure: str
    ours: tuple[float, ...]
    interpolated: tuple[float, ...]

    @property
    def median(self) -> float:
        """Ours."""
        return float(np.median(self.ours))

    @property
    def high(self) -> float:
        """The 90th percentile of ours."""
        return float(np.quantile(self.ours, 0.9))

    @property
    def met(self) -> bool:
        """Whether ours are small enough, and smaller than the interpolation's."""
        small = (
            self.median <= (CAPACITY_FLOOR if self.measure == "capacity" else MEDIAN_FLOOR) and self.high <= HIGH_FLOOR
        )
        return small and self.median <= float(np.median(self.interpolated))


def read(folder: Path) -> dict[Configuration, list[Level]]:
    """Return the levels of each configuration, lowest load first. Raises UnfitSurfaceError."""
    paths = sorted(folder.glob(PATTERN))
    if not paths:
        raise UnfitSurfaceError(f"{folder} has no file {PATTERN}")
    found: dict[Configuration, list[Level]] = defaultdict(list)
    for path in paths:
        with path.open(newline="") as lines:
            reader = csv.DictReader(lines)
            missing = sorted(set(NEEDED) - set(reader.fieldnames or ()))
            if missing:
                raise UnfitSurfaceError(f"{path} has no column {', '.join(missing)}")
            for row in reader:
                lengths = round(float(row["isl"])), round(float(row["osl"]))
                times = float(row["ttft_ms"]) / 1e3, float(row["tpot_ms"]) / 1e3
                key = tuple(row[name] for name in ("grid", "backend", "precision", "tp"))
                found[key].append(Level(round(float(row["concurrency"])), *lengths, *times))
    ordered = {key: sorted(levels, key=lambda each: each.clients) for key, levels in found.items()}
    return {key: levels for key, levels in ordered.items() if len(levels) >= FEWEST_LEVELS}


def interpolated(low: Level, high: Level, clients: float, of: Callable[[Level], float]) -> float:
    """Return what a straight line through the two levels says, both axes logarithmic."""
    part = math.log(clients / low.clients) / math.log(high.clients / low.clients)
    return float(of(low) ** (1.0 - part) * of(high) ** part)


def carried(model: ServingModel, asked: Level) -> float:
    """Return the clients at which the simulated time per token is that of a level."""
    low, high = 1.0, 4.0 * asked.clients
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        seen = run_closed_loop(model, round(middle), asked.prompt_tokens, asked.output_tokens).tpot_seconds
        low, high = (middle, high) if seen <= asked.tpot_seconds else (low, middle)
    return math.sqrt(low * high)


def judge(levels: Sequence[Level]) -> dict[str, list[tuple[float, float]]]:
    """Return by measure the relative errors, ours and interpolated, at the levels that were not used."""
    low, high = levels[0], levels[-2]
    model = calibrate(low, high)
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    measures: dict[str, Callable[[Level], float]] = {
        "time to first token": lambda each: each.ttft_seconds,
        "time per output token": lambda each: each.tpot_seconds,
    }
    for level in levels:
        if level in (low, high):
            continue
        seen = run_closed_loop(model, level.clients, level.prompt_tokens, level.output_tokens)
        for measure, of in measures.items():
            straight = interpolated(low, high, level.clients, of)
            errors[measure].append((abs(of(seen) / of(level) - 1.0), abs(straight / of(level) - 1.0)))
        slope = math.log(high.tpot_seconds / low.tpot_seconds) / math.log(high.clients / low.clients)
        straight = low.clients * (level.tpot_seconds / low.tpot_seconds) ** (1.0 / slope)
        errors["capacity"].append(
            (abs(carried(model, level) / level.clients - 1.0), abs(straight / level.clients - 1.0))
        )
    return errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge every configuration, print, write JSON; 1 where a floor is missed, 2 where nothing can be read."""
    parser = argparse.ArgumentParser(prog="python -m bench.fidelity", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--surfaces", type=Path, default=SURFACES)
    options = parser.parse_args(arguments)
    try:
        configurations = read(options.surfaces)
    except UnfitSurfaceError as error:
        say(f"bench.fidelity: {error}")
        return 2
    every: dict[str, list[tuple[float, float]]] = defaultdict(list)
    by_configuration: dict[str, dict[str, float]] = {}
    unfit = []
    for number, (key, levels) in enumerate(configurations.items(), 1):
        try:
            errors = judge(levels)
        except ValueError as error:
            unfit.append(f"{'|'.join(key)}: {error}")
            continue
        by_configuration["|".join(key)] = {
            name: float(np.median([ours for ours, _ in each])) for name, each in errors.items()
        }
        for name, each in errors.items():
            every[name] += each
        if number % 20 == 0:
            say(f"{number} of {len(configurations)} configurations")
    rows = [Errors(name, *(tuple(side) for side in zip(*each, strict=True))) for name, each in every.items()]
    print(f"InferenceX, {len(by_configuration)} configurations; not calibrated: {'; '.join(unfit) or 'none'}")
    print(f"{'relative error':24} {'median':>7} {'p90':>6}   log-log median {'p90':>6}")
    for row in rows:
        beside = np.median(row.interpolated), np.quantile(row.interpolated, 0.9)
        print(
            f"{row.measure:24} {row.median:7.3f} {row.high:6.3f} {beside[0]:17.3f} {beside[1]:6.3f}  "
            f"{'met' if row.met else 'MISSED'}"
        )
    if options.json is not None:
        document = {
            "measures": {row.measure: {"median": row.median, "p90": row.high, "met": row.met} for row in rows},
            "configurations": by_configuration,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
