"""What the trials of a search measured of capacity, against what was expected of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import Measure
from trimtab_api.trial import OptimizationTrial, Verdict
from trimtab_operator.model.search import Estimate

LEAST_SD = 0.02
MOST_SURPRISE = math.log(2.0)
"""What is off by more than twofold says of a disturbed pod, or of another load, more than of the knob."""
_MEASURED = (Verdict.IMPROVED, Verdict.REGRESSED, Verdict.INCONCLUSIVE)
_SDS_OF_INTERVAL = 2.0 * 3.4
"""A look of a search of eight trials leaves out three in ten thousand on either side (trial/looks.py)."""
_LEAST_FACTOR = 1e-3


@dataclass(frozen=True)
class Lesson:
    """One trial: the settings of both arms, and the logarithm of capacity's change, expected and seen."""

    before: EngineSettings
    after: EngineSettings
    expected: float
    seen: Estimate


def lessons_of(search: Iterable[OptimizationTrial]) -> tuple[Lesson, ...]:
    """Return what trials measured of capacity, oldest first.

    Those that ended without a measurement teach nothing, nor those whose outcome nothing that was expected explains.
    """
    measured = sorted((each for each in search if each.status.verdict in _MEASURED), key=_made_at)
    found = ((trial, _expected(trial), _seen(trial)) for trial in measured)
    return tuple(
        Lesson(trial.spec.stable, trial.spec.canary, expected, seen)
        for trial, expected, seen in found
        if expected is not None and seen is not None and abs(seen.log - expected) <= MOST_SURPRISE
    )


def _made_at(trial: OptimizationTrial) -> float:
    made = trial.metadata.creation_timestamp
    return 0.0 if made is None else made.timestamp()


def _expected(trial: OptimizationTrial) -> float | None:
    found = [each for each in trial.spec.predicted if each.measure is Measure.THROUGHPUT]
    return _log(found[0].effect) if found else None


def _seen(trial: OptimizationTrial) -> Estimate | None:
    for row in trial.status.observed:
        if row.measure is Measure.THROUGHPUT and row.effect and row.low and row.high:
            sd = (_log(row.high) - _log(row.low)) / _SDS_OF_INTERVAL
            return Estimate(_log(row.effect), max(LEAST_SD, sd))
    return None


def _log(change: str) -> float:
    return math.log(max(_LEAST_FACTOR, 1.0 + float(change)))
