"""What can become of one request, and the record of a whole run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Outcome(StrEnum):
    """The fate of a request as its client saw it; in the words of the engine's metric where both know the case."""

    OK = "ok"
    WRONG = "wrong"  # answered 200, but not with the answer to its own input
    BAD_REQUEST = "bad_request"
    REJECTED = "rejected"  # 429, the queue was full
    DRAINING = "draining"  # 503
    EXPIRED = "expired"  # 408 or 504
    ERROR = "error"  # any other 5xx
    CONNECTION = "connection"  # refused, reset, or closed before the answer
    UNANSWERED = "unanswered"  # given up by us after the timeout
    UNSENT = "unsent"  # our own bound of open requests was reached


def outcome_of(status: int) -> Outcome:
    """Return the outcome that an HTTP status stands for."""
    if 200 <= status < 300:
        return Outcome.OK
    known = {429: Outcome.REJECTED, 503: Outcome.DRAINING, 408: Outcome.EXPIRED, 504: Outcome.EXPIRED}
    if status in known:
        return known[status]
    return Outcome.BAD_REQUEST if 400 <= status < 500 else Outcome.ERROR


@dataclass(frozen=True, slots=True)
class Record:
    """One request; times in seconds since the start of the run, absent where that point was never reached."""

    scheduled_seconds: float
    sent_seconds: float | None
    answered_seconds: float | None
    outcome: Outcome
    status: int | None = None

    @property
    def latency_seconds(self) -> float | None:
        """From when the request was due to its answer: what a user waits, without coordinated omission."""
        return None if self.answered_seconds is None else self.answered_seconds - self.scheduled_seconds

    @property
    def exchange_seconds(self) -> float | None:
        """From the first byte sent to the answer: comparable with what the engine itself measures."""
        if self.answered_seconds is None or self.sent_seconds is None:
            return None
        return self.answered_seconds - self.sent_seconds


@dataclass(frozen=True)
class Run:
    """Every request of one run, in the order of the schedule."""

    started_at_epoch_seconds: float
    duration_seconds: float
    records: tuple[Record, ...]
    retried: int = 0


def between(run: Run, begin_seconds: float, end_seconds: float) -> Run:
    """Return the part of a run whose requests were due in [begin, end), as a run of its own; times since its start.

    Raises ValueError when the part does not lie inside the run: figures of time that was never driven mean nothing.
    """
    if not 0 <= begin_seconds < end_seconds <= run.duration_seconds:
        raise ValueError(
            f"{begin_seconds:.1f} to {end_seconds:.1f} s is not inside of a run of {run.duration_seconds:.1f} s"
        )
    records = tuple(
        _earlier(record, begin_seconds)
        for record in run.records
        if begin_seconds <= record.scheduled_seconds < end_seconds
    )
    return Run(run.started_at_epoch_seconds + begin_seconds, end_seconds - begin_seconds, records)


def _earlier(record: Record, seconds: float) -> Record:
    return replace(
        record,
        scheduled_seconds=record.scheduled_seconds - seconds,
        sent_seconds=None if record.sent_seconds is None else record.sent_seconds - seconds,
        answered_seconds=None if record.answered_seconds is None else record.answered_seconds - seconds,
    )


def counts(records: Sequence[Record]) -> dict[Outcome, int]:
    """How many requests had each outcome; outcomes that never happened are 0."""
    totals = dict.fromkeys(Outcome, 0)
    for record in records:
        totals[record.outcome] += 1
    return totals
