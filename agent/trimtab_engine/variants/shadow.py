"""The shadow: a bounded share of the answers of a variant in force is computed again by the original, and compared."""

from __future__ import annotations

from collections import deque

import numpy as np

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import RowsRun, RunRows
from trimtab_engine.jobs import Row
from trimtab_engine.variants.accuracy import Task, agreement_of_each
from trimtab_engine.variants.intervals import Interval, mean_interval
from trimtab_engine.variants.probe import Decode

_SHARE_OF_ITEMS = 0.01
_SHARE_OF_TIME = 0.02
_BATCH_ITEMS = 8
_WINDOW_SAMPLES = 256
_LEAST_SAMPLES = 64  # before which nothing is concluded
_SURE = 0.999  # the verdict is asked for again and again: one that is wrong by chance must be rare


class Shadow:
    """Live agreement of one variant with the original, over the last samples."""

    def __init__(self, task: Task, decode: Decode, min_accuracy: float) -> None:
        self._task = task
        self._decode = decode
        self._min_accuracy = min_accuracy
        self._credit = 0.0
        self._waiting: deque[tuple[Row, bytes]] = deque(maxlen=_BATCH_ITEMS)
        self._agreements: deque[float] = deque(maxlen=_WINDOW_SAMPLES)
        self._not_before = 0.0
        self._answers: tuple[bytes, ...] = ()  # of the variant, to the rows of the chore
        self.chore: RunRows | None = None  # the last comparison that was to be run
        self.samples = 0

    def answered(self, row: Row, answer: bytes) -> None:
        """Hear of an answer of the variant; one in a hundred is compared."""
        self._credit += _SHARE_OF_ITEMS
        if self._credit >= 1.0:
            self._credit -= 1.0
            self._waiting.append((row, answer))

    def next(self, now: float) -> RunRows | None:
        """Return a comparison to run, or None while too few wait or the share of the device's time is used up."""
        if len(self._waiting) < _BATCH_ITEMS or now < self._not_before:
            return None
        rows, self._answers = zip(*self._waiting, strict=True)
        self._waiting.clear()
        self.chore = RunRows(rows, BASE_VARIANT)
        return self.chore

    def compare(self, outcome: RowsRun, now: float) -> None:
        """Take in what the original gave to the rows of `chore`."""
        self._not_before = now + outcome.seconds * (1.0 - _SHARE_OF_TIME) / _SHARE_OF_TIME
        original = np.stack([self._decode(answer) for answer in outcome.answers])
        variant = np.stack([self._decode(answer) for answer in self._answers])
        agreements = agreement_of_each(self._task, original, variant)
        self._agreements.extend(agreements.tolist())
        self.samples += len(agreements)

    def agreement(self) -> Interval | None:
        """Return the live agreement with its 95 % interval; None before the first sample."""
        return mean_interval(np.array(self._agreements), 0) if self._agreements else None

    def lost(self) -> str | None:
        """Return in words that the least accuracy is missed beyond doubt, or None."""
        if len(self._agreements) < _LEAST_SAMPLES:
            return None
        live = mean_interval(np.array(self._agreements), 0, _SURE)
        if live.high >= self._min_accuracy:
            return None
        return (
            f"{live.value:.4f} on the last {len(self._agreements)} answers, at most {live.high:.4f}; "
            f"asked for is {self._min_accuracy:g}"
        )
