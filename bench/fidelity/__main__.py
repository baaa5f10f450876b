"""`python -m bench.fidelity [--surfaces DIR] [--traces DIR] [--json F]`: is the simulated replica like measured ones?

Configurations of InferenceX, LLM-Pilot and splitwise are calibrated on two levels of load and judged on all others,
beside log-log interpolation of the same two (judgement.py). A set that cannot answer a question says so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.engine.progress import say
from bench.fidelity.inferencex import INFERENCEX
from bench.fidelity.judgement import Outcome, judge
from bench.fidelity.llmpilot import LLM_PILOT
from bench.fidelity.splitwise import SPLITWISE
from trimtab_replay.tables import UnfitFileError

DATA = Path(__file__).parents[3] / "shared" / "data"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print, write JSON; 1 where a floor that a set can speak of is missed, 2 where a set cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m bench.fidelity", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--surfaces", type=Path, default=DATA / "surfaces")
    parser.add_argument("--traces", type=Path, default=DATA / "traces")
    options = parser.parse_args(arguments)
    try:
        outcomes = (
            judge(INFERENCEX, options.surfaces),
            judge(LLM_PILOT, options.surfaces),
            judge(SPLITWISE, options.traces),
        )
    except UnfitFileError as error:
        say(f"bench.fidelity: {error}")
        return 2
    for outcome in outcomes:
        show(outcome)
    if options.json is not None:
        options.json.write_text(json.dumps({each.name: document(each) for each in outcomes}, indent=2) + "\n")
    return 0 if all(outcome.met for outcome in outcomes) else 1


def show(outcome: Outcome) -> None:
    """Print the table of a set; `within`: configurations whose own median is within the floor."""
    print(f"{outcome.name}, {len(outcome.by_configuration)} configurations")
    print(f"{'relative error':26} {'levels':>6} {'median':>7} {'p90':>6}   log-log median {'p90':>6}  within")
    for row in outcome.rows:
        beside = np.median(row.interpolated), np.quantile(row.interpolated, 0.9)
        within = sum(each[row.measure] <= row.floor for each in outcome.by_configuration.values())
        print(
            f"{row.measure:26} {len(row.ours):6} {row.median:7.3f} {row.high:6.3f} {beside[0]:16.3f} {beside[1]:6.3f} "
            f"{within:7}  {'met' if row.met else 'MISSED'}"
        )
    for measure, why in outcome.not_answered.items():
        print(f"{measure:26} not answered: {why}")
    for what in outcome.left_out:
        print(f"left out: {what}")
    print()


def document(outcome: Outcome) -> dict[str, object]:
    """Return what is written of a set: by measure, and the median of each configuration."""
    return {
        "measures": {row.measure: {"median": row.median, "p90": row.high, "met": row.met} for row in outcome.rows},
        "not_answered": dict(outcome.not_answered),
        "configurations": {name: dict(each) for name, each in outcome.by_configuration.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
