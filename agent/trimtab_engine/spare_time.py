"""Hands chores to a worker between batches and their outcomes back to who asked for them."""

from __future__ import annotations

import math

import msgspec

from trimtab_engine import wire
from trimtab_engine.batching.batch import Batch
from trimtab_engine.chores import (
    Answered,
    Ask,
    Chore,
    ChoreAllowance,
    ChoreFailed,
    ChoreOutcome,
    ChoreSource,
    RowsRun,
    RunRows,
)
from trimtab_engine.jobs import Item, Job
from trimtab_engine.worker_link import WorkerLink


class SpareTime:
    """One model's chores, one at a time, on whichever worker is free first."""

    def __init__(self, source: ChoreSource, model: str, allowance: ChoreAllowance) -> None:
        """Take who asks for chores, and what all chores of the process may take together under load."""
        self._source = source
        self._model = model
        self._allowance = allowance
        self._chore: Chore | None = None
        self._batch: Batch | None = None
        self._link: WorkerLink | None = None
        self._begun_at = 0.0
        self._charged = False

    def start(self, link: WorkerLink, now: float, idle: bool) -> bool:
        """Give this idle worker a chore, when there is one and it may be done now.

        `idle`: no request waits, and none was served a moment ago.
        """
        if not (idle or self._source.urgent or self._allowance.may_start(now)):
            return False
        chore = self._source.next(now)
        if chore is None:
            return False
        self._chore, self._link, self._begun_at, self._charged = chore, link, now, not idle
        if isinstance(chore, Ask):
            link.ask(chore.message)
        else:
            self._batch = _unanswered(chore, now)
            link.run(self._batch, self._model, chore.variant)
        return True

    def heard(self, message: msgspec.Struct, now: float) -> None:
        """Take the worker's answer to `Ask`."""
        self._end(Answered(message, now - self._begun_at), now)

    def took(self, link: WorkerLink, batch: Batch, message: wire.BatchDone | wire.BatchFailed, now: float) -> bool:
        """Take the result of a batch if it is ours."""
        if batch is not self._batch:
            return False
        if isinstance(message, wire.BatchFailed):
            self._end(ChoreFailed(message.kind, message.seconds), now)
        else:
            bad_rows = set(message.bad_rows)
            rows = link.answers(batch, self._model, message)
            answers = [None if row in bad_rows else answer for row, answer in enumerate(rows)]
            self._end(RowsRun(answers, message.seconds), now)
        return True

    def died(self, link: WorkerLink, now: float) -> bool:
        """Hear of a worker's death; returns whether it held our chore."""
        if link is not self._link:
            return False
        self._end(ChoreFailed("worker_died", now - self._begun_at), now)
        return True

    def _end(self, outcome: ChoreOutcome, now: float) -> None:
        chore, self._chore, self._batch, self._link = self._chore, None, None, None
        if self._charged:
            self._allowance.spend(now, now - self._begun_at)
        if chore is not None:
            self._source.done(chore, outcome)


def _unanswered(chore: RunRows, now: float) -> Batch:
    job = Job(len(chore.rows), now, math.inf, 0, on_end=lambda _: None)
    return Batch([Item(job, index, row, None, now) for index, row in enumerate(chore.rows)])
