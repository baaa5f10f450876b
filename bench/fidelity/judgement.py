"""What every set is judged by: errors at the levels of load that were not used, beside log-log interpolation.

Calibrated is on the lowest and the second highest level of a configuration. Capacity is the load at which a time is
what it was measured to be at a level that was not used.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from bench.engine.progress import say

FEWEST_LEVELS = 4
MEDIAN_FLOOR, HIGH_FLOOR, CAPACITY_FLOOR = 0.15, 0.40, 0.10
BISECTIONS = 7
CAPACITY = "capacity"

Pair = tuple[float, float]  # relative errors, ours and the interpolation's


class Loaded(Protocol):
    """A measured level of load."""

    @property
    def clients(self) -> int:
        """How many requests there are at once."""


AnyLevel = TypeVar("AnyLevel", bound=Loaded)


@dataclass(frozen=True)
class Table(Generic[AnyLevel]):
    """The levels of each configuration that is judged, lowest first, and what was left out and why."""

    configurations: Mapping[str, Sequence[AnyLevel]]
    left_out: Sequence[str] = ()


@dataclass(frozen=True)
class MeasuredSet(Generic[AnyLevel]):
    """A set of measured configurations, and how a replica is calibrated and simulated to be compared with them.

    `calibrated` takes two levels and returns what simulates so many clients who ask what a level asks; it raises
    ValueError where two levels give no model. `capacity_by` is one of `measures`. `not_answered`: what the set cannot
    say, and why.
    """

    name: str
    read: Callable[[Path], Table[AnyLevel]]
    calibrated: Callable[[AnyLevel, AnyLevel], Callable[[int, AnyLevel], AnyLevel]]
    measures: Mapping[str, Callable[[AnyLevel], float]]
    capacity_by: str
    not_answered: Mapping[str, str]


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
    def floor(self) -> float:
        """What the median may be."""
        return CAPACITY_FLOOR if self.measure == CAPACITY else MEDIAN_FLOOR

    @property
    def met(self) -> bool:
        """Whether ours are small enough, and smaller than the interpolation's."""
        small = self.median <= self.floor and self.high <= HIGH_FLOOR
        return small and self.median <= float(np.median(self.interpolated))


@dataclass(frozen=True)
class Outcome:
    """What became of a set: errors by measure, the medians of ours by configuration, and what was not judged."""

    name: str
    rows: tuple[Errors, ...]
    by_configuration: Mapping[str, Mapping[str, float]]
    left_out: Sequence[str]
    not_answered: Mapping[str, str]

    @property
    def met(self) -> bool:
        """Whether every floor that the set can speak of is met."""
        return bool(self.rows) and all(row.met for row in self.rows)


def judge(measured: MeasuredSet[AnyLevel], folder: Path) -> Outcome:
    """Judge every configuration of a set. Raises UnfitFileError where the folder does not hold it."""
    table = measured.read(folder)
    every: dict[str, list[Pair]] = defaultdict(list)
    by_configuration: dict[str, dict[str, float]] = {}
    left_out = list(table.left_out)
    for number, (name, levels) in enumerate(table.configurations.items(), 1):
        try:
            errors = errors_at_others(measured, levels)
        except ValueError as error:
            left_out.append(f"{name}: {error}")
            continue
        by_configuration[name] = {
            measure: float(np.median([ours for ours, _ in each])) for measure, each in errors.items()
        }
        for measure, each in errors.items():
            every[measure] += each
        if number % 20 == 0:
            say(f"{measured.name}: {number} of {len(table.configurations)} configurations")
    rows = tuple(Errors(name, *(tuple(side) for side in zip(*each, strict=True))) for name, each in every.items())
    return Outcome(measured.name, rows, by_configuration, left_out, measured.not_answered)


def errors_at_others(measured: MeasuredSet[AnyLevel], levels: Sequence[AnyLevel]) -> dict[str, list[Pair]]:
    """Return by measure the errors of one configuration. Raises ValueError where it cannot be calibrated."""
    low, high = levels[0], levels[-2]
    simulate = measured.calibrated(low, high)
    errors: dict[str, list[Pair]] = defaultdict(list)
    for level in levels:
        if level in (low, high):
            continue
        seen = simulate(level.clients, level)
        for measure, of in measured.measures.items():
            straight = interpolated(low, high, level.clients, of)
            errors[measure].append((abs(of(seen) / of(level) - 1.0), abs(straight / of(level) - 1.0)))
        of = measured.measures[measured.capacity_by]
        ours, straight = carried(simulate, level, of), interpolated_clients(low, high, level, of)
        errors[CAPACITY].append((abs(ours / level.clients - 1.0), abs(straight / level.clients - 1.0)))
    return errors


def interpolated(low: AnyLevel, high: AnyLevel, clients: float, of: Callable[[AnyLevel], float]) -> float:
    """Return what a straight line through the two levels says, both axes logarithmic."""
    part = math.log(clients / low.clients) / math.log(high.clients / low.clients)
    return float(of(low) ** (1.0 - part) * of(high) ** part)


def interpolated_clients(low: AnyLevel, high: AnyLevel, asked: AnyLevel, of: Callable[[AnyLevel], float]) -> float:
    """Return the clients at which that straight line is at what was measured at a level."""
    slope = math.log(of(high) / of(low)) / math.log(high.clients / low.clients)
    return float(low.clients * (of(asked) / of(low)) ** (1.0 / slope))


def carried(simulate: Callable[[int, AnyLevel], AnyLevel], asked: AnyLevel, of: Callable[[AnyLevel], float]) -> float:
    """Return the clients at which what is simulated is at what was measured at a level."""
    low, high = 1.0, 4.0 * asked.clients
    for _ in range(BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if of(simulate(round(middle), asked)) <= of(asked) else (low, middle)
    return math.sqrt(low * high)
