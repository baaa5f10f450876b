"""Real rate traces as `bench.forecast` reads them: demand at regular times, with its gaps."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trimtab_operator.analysis.forecast import DAY_SECONDS
from trimtab_operator.model.arrays import Floats
from trimtab_replay.tables import UnfitFileError, rows

TRACES = Path(__file__).parents[2] / "shared" / "data" / "traces"
PATTERN = "rate_*.csv*"
WARM_UP_DAYS = 3


@dataclass(frozen=True)
class RateTrace:
    """Demand in the trace's own unit, NaN for gaps; `name` is that of the file up to its first dot.

    A demand of one is `requests_per_unit` requests in a step: the step's seconds for a rate, 1 for a count.
    """

    name: str
    demand: Floats
    step_seconds: float
    requests_per_unit: float
    file_sha256: str

    @property
    def day(self) -> int:
        """Return the steps of a day."""
        return round(DAY_SECONDS / self.step_seconds)

    @property
    def first_judged(self) -> int:
        """Return the first place whose forecast is judged; what is before it is there to learn from."""
        return min(WARM_UP_DAYS * self.day, len(self.demand) // 2)

    def filled(self) -> Floats:
        """Return demand whose gaps hold the last value before them."""
        known = np.isfinite(self.demand)
        places = np.where(known, np.arange(len(known)), int(known.argmax()))
        return np.asarray(self.demand[np.maximum.accumulate(places)])


def read(path: Path) -> RateTrace:
    """Return the trace of a file. Raises UnfitFileError, OSError."""
    found = list(rows(path, ()))
    column = next((name for name in ("rate_rps", "value") if found and name in found[0]), None)
    if column is None or "t_s" not in found[0]:
        raise UnfitFileError(f"{path} needs the columns t_s and rate_rps (or value)")
    gap = np.array([row.get("gap") == "1" for row in found])
    step_seconds = float(np.median(np.diff([float(row["t_s"]) for row in found])))
    return RateTrace(
        name=path.name.split(".")[0],
        demand=np.where(gap, np.nan, np.array([float(row[column]) for row in found])),
        step_seconds=step_seconds,
        requests_per_unit=step_seconds if column == "rate_rps" else 1.0,
        file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
