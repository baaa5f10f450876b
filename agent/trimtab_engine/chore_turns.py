"""Spare device time for several models: one chore at a time, in turns, all within one allowance."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import msgspec

from trimtab_engine import wire
from trimtab_engine.batching.batch import Batch
from trimtab_engine.chores import QUIET_SECONDS, ChoreAllowance, ChoreSource
from trimtab_engine.spare_time import SpareTime
from trimtab_engine.worker_link import WorkerLink


class ChoreTurns:
    """The spare time of every model."""

    def __init__(self, sources: Mapping[str, ChoreSource]) -> None:
        """Take who asks for chores, by model."""
        allowance = ChoreAllowance()
        self._turns = deque(SpareTime(source, model, allowance) for model, source in sources.items())
        self._holder: SpareTime | None = None
        self._served_at = -math.inf

    def quiet_at(self, now: float) -> float:
        """Return when to ask again, should nothing arrive: infinity once it is quiet."""
        quiet_at = self._served_at + QUIET_SECONDS
        return quiet_at if quiet_at > now else math.inf

    def start(self, link: WorkerLink, now: float, waiting: bool) -> bool:
        """Give this idle worker the chore of the model whose turn it is, or of the next one that has any.

        `waiting`: requests wait.
        """
        if self._holder is not None:
            return False
        idle = not waiting and now >= self._served_at + QUIET_SECONDS
        for _ in range(len(self._turns)):
            self._turns.rotate(-1)
            if self._turns[-1].start(link, now, idle):
                self._holder = self._turns[-1]
                return True
        return False

    def heard(self, message: msgspec.Struct, now: float) -> None:
        """Take the worker's answer to a question."""
        holder, self._holder = self._holder, None
        if holder is not None:
            holder.heard(message, now)

    def took(self, link: WorkerLink, batch: Batch, message: wire.BatchDone | wire.BatchFailed, now: float) -> bool:
        """Take the result of a batch if it is a chore's; else requests were served a moment ago."""
        if self._holder is not None and self._holder.took(link, batch, message, now):
            self._holder = None
            return True
        self._served_at = now
        return False

    def died(self, link: WorkerLink, now: float) -> bool:
        """Hear of a worker's death; returns whether it held a chore."""
        if self._holder is not None and self._holder.died(link, now):
            self._holder = None
            return True
        return False
