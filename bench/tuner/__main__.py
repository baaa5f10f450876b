"""`python -m bench.tuner [--json F] [--surfaces DIR]`: tuners on measured surfaces, at twelve trials each.

A floor is met where the 95 % interval over the problems reaches it. Exit 0: every floor is met; 1: one is not; 2: the
surfaces cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.engine.progress import say
from bench.tuner import figures, problems
from bench.tuner.contest import EXHAUSTIVE, FAMILIES, all_runs
from bench.tuner.figures import Interval, Runs

SURFACES = Path(__file__).parents[3] / "shared" / "data" / "surfaces"
EXHAUSTIVE_FLOORS = {"inferencex": (0.97, 0.99), "llmpilot": (0.93, 0.96)}


@dataclass(frozen=True)
class Row:
    """One thing asked: of ours, or of ours against another contender."""

    measure: str
    found: Interval
    floor: float
    aim: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the worse end of the interval keeps the floor."""
        return self.found.high <= self.floor if self.at_most else self.found.low >= self.floor

    @property
    def verdict(self) -> str:
        """Return the verdict in words."""
        mean = self.found.mean
        if self.met:
            return "met"
        return "met by its mean only" if (mean <= self.floor if self.at_most else mean >= self.floor) else "MISSED"

    def line(self) -> str:
        """Return the row for people."""
        found, bound = self.found, "at most" if self.at_most else "at least"
        shown = f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"
        return f"{self.measure:58} {shown:27} {bound} {self.floor:g}, aim {self.aim:g}: {self.verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every contender on every problem, print tables, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.tuner", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--surfaces", type=Path, default=SURFACES)
    options = parser.parse_args(arguments)
    try:
        families = {name: read(options.surfaces) for name, read in FAMILIES.items()}
    except problems.UnfitFileError as error:
        say(f"bench.tuner: {error}")
        return 2
    found = {family: all_runs(family, options.surfaces, len(each)) for family, each in families.items()}
    rows = [row for family, runs in found.items() for row in _rows(family, runs)]
    for family, runs in found.items():
        print(_table(family, len(families[family]), runs))
    print("\n".join(row.line() for row in rows))
    if options.json is not None:
        documents = {
            family: {name: figures.document(each) for name, each in runs.items()} for family, runs in found.items()
        }
        options.json.write_text(json.dumps(documents, indent=2) + "\n")
    return 0 if all(row.met for row in rows) else 1


def _rows(family: str, runs: Mapping[str, Runs]) -> list[Row]:
    ours, reference, everything = runs["trimtab"], runs["reference"], runs[EXHAUSTIVE]
    v8, v12 = figures.score_after(8), figures.score_after(12)
    floor, aim = EXHAUSTIVE_FLOORS[family]
    return [
        Row(f"{family}: v8 less the reference's", figures.difference(v8, ours, reference), -0.005, 0.03),
        Row(f"{family}: v12 less the reference's", figures.difference(v12, ours, reference), -0.005, 0.02),
        Row(f"{family}: v12 over exhaustive's", figures.ratio(v12, ours, everything), floor, aim),
        Row(
            f"{family}: violating trials over the reference's",
            figures.ratio(figures.violations, ours, reference), 1.0, 0.7, at_most=True,
        ),
        Row(
            f"{family}: what they exceed over the reference's",
            figures.ratio(figures.excess, ours, reference), 1.0, 0.7, at_most=True,
        ),
        Row(
            f"{family}: wrong promotions", figures.average(figures.wrong_promotions, ours), 0.01, 0.005, at_most=True,
        ),
    ]  # fmt: skip


def _table(family: str, count: int, runs: Mapping[str, Runs]) -> str:
    lines = [
        f"{family}, {count} problems",
        f"{'':26} {'v4':>6} {'v8':>6} {'v12':>6} {'violating':>9} {'over':>5} {'wrong':>6} {'s.e.':>5}",
    ]
    for name, each in runs.items():
        values = figures.document(each)
        cells = [f"{values[key] or 0.0:6.3f}" for key in ("v4", "v8", "v12")]
        over, se = values["overshoot"], values["se"]
        lines.append(
            f"{name:26} {' '.join(cells)} {values['violations']:9.2f} {'-' if over is None else f'{over:.2f}':>5} "
            f"{values['wrong_promotions']:6.2%} {'-' if se is None else f'{se:.3f}':>5}"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
