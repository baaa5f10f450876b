"""`python -m bench.compare OLD NEW`: two JSON files of the same bench. Exit 1: a figure lost over 5 % outside noise.

Only contender `trimtab` counts where there are several. Noise is twice the standard errors of both where a bench writes
them (`se`), and the machine's own where it measures CPU time, which varies by 1.8 for identical work.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engine.progress import say

OURS = "trimtab"
LOSS = 0.05
CPU_NOISE = 0.8
HIGHER_IS_BETTER = {"v4", "v8", "v12", "attainment"}
LOWER_IS_BETTER = {
    "violations", "overshoot", "wrong_promotions", "gpu_hours_at_99", "events_per_hour", "over_oracle",
}  # fmt: skip
CPU_TIMES = {"tick_seconds_median", "fleet_5000_cpu_seconds"}

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One figure in both files; `loss` is relative to the old one, negative where it improved."""

    name: str
    old: float
    new: float
    loss: float
    noise: float

    @property
    def lost(self) -> bool:
        """Whether it is worse by more than 5 % and more than noise."""
        return self.loss > max(LOSS, self.noise)


def changes(old: Figures, new: Figures, path: tuple[str, ...] = ()) -> Iterator[Change]:
    """Yield every figure of ours that both have."""
    errors = [float(each["se"]) for each in (old, new) if isinstance(each.get("se"), int | float)]
    for key in sorted(old.keys() & new.keys()):
        before, after, place = old[key], new[key], (*path, key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            if OURS not in before:
                yield from changes(before, after, place)
            else:
                yield from changes(before[OURS], after.get(OURS, {}), (*place, OURS))
        elif _measures(key) and isinstance(before, int | float) and isinstance(after, int | float):
            yield _change(place, float(before), float(after), 2.0 * math.hypot(*errors))


def _measures(key: str) -> bool:
    return key in HIGHER_IS_BETTER | LOWER_IS_BETTER | CPU_TIMES


def _change(place: tuple[str, ...], old: float, new: float, error: float) -> Change:
    size = abs(old) or 1.0
    loss = (old - new if place[-1] in HIGHER_IS_BETTER else new - old) / size
    return Change(" ".join(place), old, new, loss, CPU_NOISE if place[-1] in CPU_TIMES else error / size)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print what changed."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    options = parser.parse_args(arguments)
    try:
        old, new = (json.loads(each.read_text()) for each in (options.old, options.new))
    except (OSError, ValueError) as error:
        say(f"bench.compare: {error}")
        return 2
    found = list(changes(old, new))
    for each in found:
        print(f"{each.name:60} {each.old:10.4g} {each.new:10.4g}  {-each.loss:+.1%}{'  LOST' if each.lost else ''}")
    if not found:
        say(f"bench.compare: {options.old} and {options.new} have no figure in common")
        return 2
    return 1 if any(each.lost for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
