"""Work for a device that answers no request: who asks for it, and how much of the device's time it may take.

The dispatcher asks its source when a worker is free: freely while it is quiet, else within a small share of the time.
No clock, no I/O: time comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from trimtab_engine.jobs import Row

SHARE_UNDER_LOAD = 0.02
QUIET_SECONDS = 0.05  # without a batch; a gap between two requests of a steady load is no reason to start
_LARGEST_CREDIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RunRows:
    """Run these rows on a variant; what it gives goes to the source and to nobody else."""

    rows: Sequence[Row]
    variant: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the worker this message, one of those that have one answer."""

    message: msgspec.Struct


Chore = RunRows | Ask


@dataclass(frozen=True, slots=True)
class RowsRun:
    """`RunRows` is done: each row's answer as bytes, None where it is not finite, and the seconds of the pass."""

    answers: list[bytes | None]
    seconds: float


@dataclass(frozen=True, slots=True)
class Answered:
    """`Ask` is done: what the worker said, and after how many seconds."""

    message: msgspec.Struct
    seconds: float


@dataclass(frozen=True, slots=True)
class ChoreFailed:
    """The pass failed (`out_of_memory`, `model_error`) or the worker died with the chore in hand (`worker_died`)."""

    reason: str
    seconds: float


ChoreOutcome = RowsRun | Answered | ChoreFailed


class ChoreSource(Protocol):
    """Who asks for chores. One is in hand at a time; `done` comes once for each that `next` gave."""

    @property
    def urgent(self) -> bool:
        """Whether what comes next must not wait for a quiet moment: it gives memory back that is short."""

    def next(self, now: float) -> Chore | None:
        """Return what to do now, or None."""

    def done(self, chore: Chore, outcome: ChoreOutcome) -> None:
        """Hear how it ended."""


class ChoreAllowance:
    """Device time that chores may take while requests are served: a credit that grows by a share of the time."""

    def __init__(self, share: float = SHARE_UNDER_LOAD) -> None:
        self._share = share
        self._credit_seconds = 0.0
        self._seen_at: float | None = None

    def may_start(self, now: float) -> bool:
        """Whether a chore may start although requests are served; one that takes longer is paid off first."""
        self._grow(now)
        return self._credit_seconds > 0.0

    def spend(self, now: float, seconds: float) -> None:
        """Charge a chore that was begun under load."""
        self._grow(now)
        self._credit_seconds -= seconds

    def _grow(self, now: float) -> None:
        if self._seen_at is not None:
            grown = self._credit_seconds + self._share * (now - self._seen_at)
            self._credit_seconds = min(grown, _LARGEST_CREDIT_SECONDS * self._share)
        self._seen_at = now
