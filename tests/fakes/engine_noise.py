"""What equal pods of the real engine did near saturation, one row for each scrape, put together to new minutes.

The recording is made by tests/loop/record_noise.py. Blocks of it are whole minutes of all pods at once: what the
minutes do to all pods and how neighbours in time are alike stays as it was.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from trimtab_operator.model.arms import Arms, Recent, SlotValue
from trimtab_operator.model.signals import Signal

RECORDING = Path(__file__).parents[1] / "loop" / "data" / "engine_noise.csv.gz"
SCRAPE_SECONDS = 5.0
BLOCK_SCRAPES = 12

Noise = np.ndarray[tuple[int, int, int], np.dtype[np.float64]]
"""By scrape, pod and column: requests, errors, busy seconds, each per second."""


@lru_cache(maxsize=1)
def recording() -> Noise:
    """Read the recording: the scrapes at which every pod has a row, oldest first."""
    with gzip.open(RECORDING, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    pods = sorted({row["pod"] for row in rows})
    table: dict[int, list[tuple[float, ...]]] = {}
    for pod in pods:
        for scrape, rates in of_pod([row for row in rows if row["pod"] == pod]):
            table.setdefault(scrape, []).append(rates)
    return np.array([table[scrape] for scrape in sorted(table) if len(table[scrape]) == len(pods)])


def of_pod(rows: list[dict[str, str]]) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Yield number of the scrape and rates; each pod is scraped at a moment of its own within the interval."""
    times = [float(row["at_seconds"]) for row in rows]
    phase = times[0] % SCRAPE_SECONDS
    for row, before, at in zip(rows[1:], times, times[1:], strict=False):
        rates = tuple(float(row[name]) / (at - before) for name in ("requests", "errors", "busy_seconds"))
        yield round((at - phase) / SCRAPE_SECONDS), rates


def resampled(random: np.random.Generator, scrapes: int) -> Noise:
    """Put blocks of the recording together; pods change places, so that each is the canary equally often."""
    noise = recording()
    starts = random.integers(0, len(noise) - BLOCK_SCRAPES + 1, size=-(-scrapes // BLOCK_SCRAPES))
    order = random.permutation(noise.shape[1])
    return np.concatenate([noise[start : start + BLOCK_SCRAPES] for start in starts])[:scrapes, order]


def of_last_scrapes(noise: Noise, in_force_at: float, now: float, first_at: float) -> Recent:
    """What two scrapes until now tell, as Prometheus would: the rates between them."""
    row = noise[round((now - first_at) / SCRAPE_SECONDS) - 1]
    return Recent(
        in_force_at=in_force_at,
        begin=now - 2.0 * SCRAPE_SECONDS,
        end=now,
        rates={
            signal: {f"pod-{pod}": float(row[pod, column]) for pod in range(noise.shape[1])}
            for column, signal in enumerate((Signal.REQUESTS_PER_SECOND, Signal.ERRORS_PER_SECOND))
        },
        distributions={},
    )


def in_slots(noise: Noise, slot_seconds: int, first_at: float) -> Arms:
    """Cut scrapes to slots, as Prometheus would: the mean rate of each slot."""
    size = round(slot_seconds / SCRAPE_SECONDS)
    slots = len(noise) // size
    means = noise[: slots * size].reshape(slots, size, *noise.shape[1:]).mean(axis=1)
    ends = [first_at + (number + 1) * slot_seconds for number in range(slots)]
    names = tuple(f"pod-{number}" for number in range(noise.shape[1]))
    return Arms(
        slot_seconds=float(slot_seconds),
        canary=names[:1],
        stable=names[1:],
        slots={
            signal: {
                name: tuple(SlotValue(at, float(value)) for at, value in zip(ends, means[:, pod, column], strict=True))
                for pod, name in enumerate(names)
            }
            for column, signal in enumerate((Signal.REQUESTS_PER_SECOND, Signal.ERRORS_PER_SECOND, Signal.BUSY_RATIO))
        },
        distributions={},
        since=None,
    )
