"""What can become of one request, and the record of a whole run. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


def counts(records: Sequence[Record]) -> dict[Outcome, int]:
    """How many requests had each outcome; outcomes that never happened are 0."""
    totals = dict.fromkeys(Outcome, 0)
    for record in records:
        totals[record.outcome] += 1
    return totals
