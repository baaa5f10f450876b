"""Series over the lookback, extended point by point and rebuilt at start; both give the same.

Every point stands at a multiple of the step, whoever asks and whenever; a point is fetched only when it is `SETTLE`
seconds old, when the scrapes that it rests on have been stored.
"""

from __future__ import annotations

import asyncio
import math
import re
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from trimtab_operator.model.signals import SignalState
from trimtab_operator.observation.labels import PodKey, PodLabels
from trimtab_operator.observation.prometheus import Answer, Prometheus

SETTLE_SECONDS: Final = 5
MAX_POINTS: Final = 120
STEPS_SECONDS: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900)
REMEMBERED: Final = 512
MISSING: Final = math.nan

GridKey = tuple[str, int, int]
"""(query, lookback in seconds, step in seconds)"""

# Names of pods of a Deployment: <deployment>-<template hash>-<five>, of letters that spell nothing.
_POD_NAME = re.compile(r"(.+)-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}")


def step_for(lookback_seconds: float, scrape_interval_seconds: float) -> int:
    """Return the smallest step that gives at most 120 points and is not below the scrape interval."""
    needed = max(lookback_seconds / MAX_POINTS, scrape_interval_seconds)
    return next((step for step in STEPS_SECONDS if step >= needed), STEPS_SECONDS[-1])


@dataclass
class Grid:
    """One query's answer: for each pod as many values as there are times, NaN where it had none."""

    times: list[int] = field(default_factory=list)
    rows: dict[PodKey, array[float]] = field(default_factory=dict)
    state: SignalState = SignalState.NO_DATA
    message: str = ""
    owners: dict[PodKey, set[PodKey]] = field(default_factory=dict)  # pods by (namespace, Deployment)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one fetch at a time: a slow one may outlast its slot

    def of_deployment(self, namespace: str, name: str) -> list[array[float]]:
        """Return the values of every pod of a Deployment, also of those that are gone: their names still tell."""
        return [self.rows[key] for key in sorted(self.owners.get((namespace, name), ())) if key in self.rows]

    def append(self, times: list[int], answer: Answer, labels: PodLabels) -> None:
        """Add newer points."""
        offset, index = len(self.times), {at: place for place, at in enumerate(times)}
        self.times.extend(times)
        for row in answer.rows:
            key = (row.labels.get(labels.namespace, ""), row.labels.get(labels.pod, ""))
            if key not in self.rows:
                self._adopt(key)
            values = self.rows.setdefault(key, array("d", [MISSING]) * offset)
            values.extend([MISSING] * (len(self.times) - len(values)))
            for at, value in row.points:
                if (place := index.get(round(at))) is not None:
                    values[offset + place] = value
        for values in self.rows.values():
            values.extend([MISSING] * (len(self.times) - len(values)))

    def _adopt(self, key: PodKey) -> None:
        namespace, pod = key
        if match := _POD_NAME.fullmatch(pod):
            self.owners.setdefault((namespace, match[1]), set()).add(key)

    def drop_before(self, start: int) -> None:
        """Forget points older than `start`, and pods that have none left."""
        keep_from = next((place for place, at in enumerate(self.times) if at >= start), len(self.times))
        if keep_from:
            del self.times[:keep_from]
            for key, values in list(self.rows.items()):
                del values[:keep_from]
                if all(map(math.isnan, values)):
                    del self.rows[key]
            self.owners = {}
            for key in self.rows:
                self._adopt(key)


class HistoryStore:
    """Grids by query; the least recently used are forgotten and would be fetched again."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus
        self._grids: OrderedDict[GridKey, Grid] = OrderedDict()

    async def extend(self, query: str, labels: PodLabels, lookback_seconds: int, step_seconds: int, now: float) -> Grid:
        """Return the grid up to the newest settled point. After a failed fetch it keeps what it has, and says so."""
        key = (query, lookback_seconds, step_seconds)
        grid = self._grids.setdefault(key, Grid())
        self._grids.move_to_end(key)
        while len(self._grids) > REMEMBERED:
            self._grids.popitem(last=False)
        async with grid.turn:
            await self._fetch(grid, key, labels, now)
        return grid

    async def _fetch(self, grid: Grid, key: GridKey, labels: PodLabels, now: float) -> None:
        query, lookback_seconds, step_seconds = key
        end = math.floor((now - SETTLE_SECONDS) / step_seconds) * step_seconds
        start = end - lookback_seconds // step_seconds * step_seconds
        grid.drop_before(start)
        first = grid.times[-1] + step_seconds if grid.times else start
        if first > end:
            return
        answer = await self._prometheus.over_range(query, first, end, step_seconds)
        if answer.state is SignalState.ERROR:
            grid.state, grid.message = SignalState.ERROR, answer.message
            return
        grid.append(list(range(first, end + 1, step_seconds)), answer, labels)
        grid.state = answer.state if answer.state is SignalState.PARTIAL else _state_of(grid)
        grid.message = answer.message


def _state_of(grid: Grid) -> SignalState:
    return SignalState.OK if grid.rows else SignalState.NO_DATA
