"""`python -m bench.scaling [--traces DIR] [--json F]`: what autoscalers cost that keep the same objectives.

Exit 0: every floor is met; 1: one is not; 2: the traces cannot be read; 3: somebody was cheaper than the lower bound,
so the bench is wrong. Nothing is validated: the replicas are calibrated on other lengths than those of the traffic.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.engine.progress import say
from bench.scaling import figures
from bench.scaling.cases import SIZES, Case, cases
from bench.scaling.contest import Results, all_results
from bench.scaling.traffic import FAMILIES, TRACES, windows
from trimtab_replay.tables import UnfitFileError

COST_FLOOR, COST_AIM = 0.9, 0.8
BOUND_FLOOR, BOUND_AIM = 1.35, 1.2
GAP_FLOOR, GAP_AIM = 1.0 / 3.0, 0.5
EVENTS_FLOOR = 1.25


def main(arguments: Sequence[str] | None = None) -> int:
    """Play all, print tables, write JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--traces", type=Path, default=TRACES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", choices=SIZES, default=list(SIZES), help="mean replicas")
    options = parser.parse_args(arguments)
    try:
        for family in FAMILIES:
            windows(options.traces, family)
    except UnfitFileError as error:
        say(f"bench.scaling: {error}")
        return 2
    results = all_results(options.traces, cases(options.sizes))
    print("\n".join(_table(results)))
    rows = [_row(results, family, own) for family, own in _by_family(results).items()]
    print("\n".join(line for line, _ in rows))
    if options.json is not None:
        options.json.write_text(json.dumps(_document(results), indent=2) + "\n")
    mistakes = figures.impossible(results)
    if mistakes:
        say(f"bench.scaling: cheaper than the lower bound: {', '.join(mistakes)}")
        return 3
    return 0 if all(met for _, met in rows) else 1


def _by_family(results: Results) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(results):
        found[case.family].append(case)
    return dict(found)


def _table(results: Results) -> list[str]:
    names = list(next(iter(results.values())))
    lines = ["GPU-hours over the lower bound (m: some case missed the objectives and is charged the best constant)"]
    lines.append(f"{'':24} {'start':>5} " + " ".join(f"{name[:13]:>13}" for name in names))
    for (traffic, startup), own in figures.groups(results).items():
        found = [figures.summary(results, own, name) for name in names]
        shown = (f"{each.over_bound:+.2f}{'m' if len(each.flags) > 1 else ' '}".rjust(13) for each in found)
        lines.append(f"{traffic:24} {startup:5.0f} " + " ".join(shown))
    return lines


def _row(results: Results, family: str, own: Sequence[Case]) -> tuple[str, bool]:
    """Return the verdict on one family of traffic, and whether its floors are met."""
    rival = figures.best_rival(results, own)
    cost, bound = figures.cost_ratio(results, own, rival), figures.over_bound(results, own)
    gap, events = figures.gap_closed(results, own, rival), figures.events_over_calmest(results, own)
    met = [
        cost.high <= COST_FLOOR,
        bound.high <= BOUND_FLOOR,
        gap >= GAP_FLOOR,
        events is None or events <= EVENTS_FLOOR,
    ]
    verdicts = ["met" if each else "MISSED" for each in met]
    line = (
        f"{family}: cost over {rival}'s {cost.mean:.3f} [{cost.low:.3f}, {cost.high:.3f}] (floor {COST_FLOOR:g}, aim "
        f"{COST_AIM:g}): {verdicts[0]}; over the bound {bound.mean:.3f} [{bound.low:.3f}, {bound.high:.3f}] "
        f"({BOUND_FLOOR:g}, {BOUND_AIM:g}): {verdicts[1]}; gap closed {gap:.2f} ({GAP_FLOOR:.2f}, {GAP_AIM:g}): "
        f"{verdicts[2]}; events over the calmest rival's {'none' if events is None else f'{events:.2f}'} "
        f"({EVENTS_FLOOR:g}): {verdicts[3]}"
    )
    return line, all(met)


def _document(results: Results) -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
    for (traffic, startup), own in figures.groups(results).items():
        found[traffic][f"{startup:g}"] = {
            name: _figures(figures.summary(results, own, name)) for name in results[own[0]]
        }
    return found


def _figures(summary: figures.Summary) -> dict[str, object]:
    values = asdict(summary)
    values["over_oracle"] = values.pop("over_bound")
    return values


if __name__ == "__main__":
    sys.exit(main())
