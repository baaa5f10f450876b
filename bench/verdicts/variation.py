"""How real 30-second windows of one configuration differ from each other (bench/data/slot_variation.csv)."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from trimtab_operator.model.arrays import Floats

FILE = Path(__file__).parents[1] / "data" / "slot_variation.csv"
COLUMNS = ("tput_tok_s", "ttft_p95_ms")
_LEAST_FACTOR = 0.2  # a window that seems to lie farther below its mean is a rounded millisecond


@dataclass(frozen=True)
class Variation:
    """Factors of pairs (throughput, time to first token) around 1, in the order of the throughput."""

    factors: Floats

    def at(self, ranks: Floats) -> Floats:
        """Return the pairs at these ranks (0 to 1)."""
        places = np.minimum((ranks * len(self.factors)).astype(int), len(self.factors) - 1)
        return np.asarray(self.factors[places])


@lru_cache(maxsize=8)
def variation(level: str, cv: float | None = None) -> Variation:
    """Return the windows of the configurations around a percentile (p50, p75, p90) of the throughput's variation.

    Each window is compared with the mean of its own configuration; with three windows to a mean, deviations are too
    small by the root of 3/2, which is made good. `cv` stretches the throughput to that coefficient of variation.
    """
    configurations: dict[tuple[str, ...], list[tuple[float, ...]]] = defaultdict(list)
    with FILE.open(newline="") as lines:
        for row in csv.DictReader(lines):
            if row["level"] == level:
                name = tuple(row[key] for key in ("model", "gpu_type", "n_gpus", "users"))
                configurations[name].append(tuple(float(row[column] or "nan") for column in COLUMNS))
    parts = []
    for windows in configurations.values():
        found = np.array(windows)
        mean = found.mean(axis=0)
        relative = np.divide(found, mean, out=np.ones_like(found), where=mean > 0.0) - 1.0
        parts.append(relative * (len(found) / (len(found) - 1)) ** 0.5)
    deviations = np.concatenate(parts)
    if cv is not None:
        deviations[:, 0] *= cv / float(np.sqrt(np.mean(np.square(deviations[:, 0]))))
    factors = np.maximum(_LEAST_FACTOR, 1.0 + deviations)
    return Variation(factors[np.argsort(factors[:, 0])])
