"""Loads that are followed to their end, so that the fate of every single request is known."""

from __future__ import annotations

import threading
from collections import Counter
from types import TracebackType

from dev.load.outcomes import Outcome, Run
from dev.load.plan import LoadPlan
from dev.load.process import LoadProcess

REFUSED_BY_LOAD = {Outcome.OK, Outcome.REJECTED}
"""What an overloaded engine does: it answers, or says that its queue is full."""


class _Stream:
    """One load process and the thread that follows it."""

    def __init__(self, plan: LoadPlan) -> None:
        self.begun = threading.Event()
        self.run: Run | None = None
        self.error: Exception | None = None
        self.process = LoadProcess(plan)
        self.thread = threading.Thread(target=self._follow, name="load", daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        try:
            self.run = self.process.wait(lambda _: self.begun.set())
        except Exception as error:  # said by whoever waits for the run
            self.error = error
        self.begun.set()


class Answers:
    """Several loads at once; leaving the block ends them."""

    def __init__(self) -> None:
        self._streams: list[_Stream] = []

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams:
            stream.process.__exit__(kind, error, trace)

    def follow(self, plan: LoadPlan, *, begins_within: float) -> None:
        """Start a load, and return when its schedule has begun."""
        stream = _Stream(plan)
        self._streams.append(stream)
        assert stream.begun.wait(begins_within), f"the load did not begin within {begins_within:g} s"
        assert stream.error is None, stream.error

    def outcomes(self) -> Counter[Outcome]:
        """End every load now; how many requests had which fate."""
        for stream in self._streams:
            stream.process.stop()
        counted: Counter[Outcome] = Counter()
        for stream in self._streams:
            stream.thread.join(60)
            assert stream.run is not None, f"a load did not end well: {stream.error}"
            counted.update(record.outcome for record in stream.run.records)
        return counted


def failures(outcomes: Counter[Outcome]) -> dict[Outcome, int]:
    """Requests that were neither answered rightly nor refused because of the load, by their fate."""
    return {outcome: count for outcome, count in outcomes.items() if outcome not in REFUSED_BY_LOAD and count}
