"""`make machine`: the machine in portions until 10^5 steps are done and each fault has struck often in each phase.

TRIMTAB_MACHINE_EXAMPLES says how many examples that are in all. What was counted is kept under build/ by portion, for
this very code only: a run that is stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
from collections import Counter
from pathlib import Path

from loop.machine import MOMENTS, PHASES, run_machine

ROOT = Path(__file__).parents[2]
CODE = ("operator/trimtab_operator", "crds/trimtab_api", "tests/loop", "tests/fakes")
PORTION_EXAMPLES, STEPS = 20, 50
ALL_EXAMPLES = "2000"
OFTEN = 100

Met = Counter[tuple[str, str]]
"""How often by (phase or other moment, what happened)."""


def main() -> int:
    """Run what is missing; 1 where a pair of phase and fault occurred too seldom.

    Raises:
        AssertionError: with the example that broke an invariant.
    """
    logging.disable()  # the faults are meant
    place = ROOT / "build" / f"machine-{_digest()}.json"
    portions = _load(place)
    for portion in range(int(os.environ.get("TRIMTAB_MACHINE_EXAMPLES", ALL_EXAMPLES)) // PORTION_EXAMPLES):
        if portion not in portions:
            portions[portion] = run_machine(examples=PORTION_EXAMPLES, steps=STEPS, portion=portion)
            _store(place, portions)
            print(f"portion {portion}: {steps(sum(portions.values(), Met()))} steps", flush=True)
    met = sum(portions.values(), Met())
    print(table(met))
    seldom = [f"{moment} and {what}: {count}" for (moment, what), count in _pairs(met).items() if count < OFTEN]
    print(*([f"fewer than {OFTEN} times:", *seldom] if seldom else ["every pair often enough"]), sep="\n")
    return 1 if seldom else 0


def table(met: Met) -> str:
    """A row for each thing that happened, a column for each phase, and for what else may be going on."""
    head = f"{f'{steps(met)} steps':14}" + "".join(f"{moment:>16}" for moment in MOMENTS)
    rows = (
        f"{what:14}" + "".join(f"{met[moment, what]:16}" for moment in MOMENTS)
        for what in sorted({what for _, what in met})
    )
    return "\n".join([head, *rows])


def steps(met: Met) -> int:
    """Return how much happened at all: each in one phase."""
    return sum(count for (moment, _), count in met.items() if moment in PHASES)


def _pairs(met: Met) -> Met:
    events = sorted({what for _, what in met})
    return Met({(moment, what): met[moment, what] for what in events for moment in MOMENTS})


def _digest() -> str:
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _load(place: Path) -> dict[int, Met]:
    stored = json.loads(place.read_text()) if place.exists() else {}
    return {
        int(portion): Met({(moment, what): count for moment, what, count in rows}) for portion, rows in stored.items()
    }


def _store(place: Path, portions: dict[int, Met]) -> None:
    place.parent.mkdir(exist_ok=True)
    rows = {portion: [[*pair, count] for pair, count in sorted(met.items())] for portion, met in portions.items()}
    place.write_text(json.dumps(rows))


if __name__ == "__main__":
    sys.exit(main())
