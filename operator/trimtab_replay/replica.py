"""One replica to which requests are given one by one."""

from __future__ import annotations

import numpy as np

from trimtab_replay import batches, batching
from trimtab_replay.answers import Answers, answers
from trimtab_replay.serving import ServingModel

ONLY = 0


class Replica:
    """A queue, at most one prompt that is being read, and the sequences that decode."""

    def __init__(self, model: ServingModel, most_requests: int) -> None:
        requests = batches.requests(*(np.zeros(most_requests) for _ in range(3)))
        self._batches = batches.batches(model, requests, rows=1)
        self._taken = 0

    @property
    def now(self) -> float:
        """The time up to which it lived."""
        return float(self._batches.pods.now[ONLY])

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return int(self._batches.pods.waiting[ONLY])

    @property
    def running(self) -> int:
        """Requests that are read or decoded."""
        return int(self._batches.pods.outstanding[ONLY]) - self.waiting

    @property
    def kv_ratio(self) -> float:
        """Share of the KV cache that is taken."""
        return float(self._batches.pods.kv_tokens[ONLY] / self._batches.model.kv_tokens)

    @property
    def next_change(self) -> float:
        """When the batch changes next, in seconds; infinity where nothing is left to do."""
        return float(self._batches.pods.change[ONLY])

    @property
    def answered(self) -> Answers:
        """All that was answered, in order."""
        return answers(self._batches.requests, self._batches.requests.ended[: self._batches.progress.ended[0]])

    @property
    def taken(self) -> Answers:
        """All that was ever asked, in order; NaN where something has not happened yet."""
        return answers(self._batches.requests, np.arange(self._taken))

    def finished(self, first: int) -> list[float]:
        """Return when answers ended, from so many answers on."""
        which = self._batches.requests.ended[first : self._batches.progress.ended[0]]
        return [float(each) for each in self._batches.requests.finished[which]]

    def arrive(self, at: float, prompt_tokens: int, output_tokens: int) -> None:
        """Take a request at its time."""
        self.advance(at)
        for column, value in zip(self._batches.requests[:3], (at, prompt_tokens, output_tokens), strict=True):
            column[self._taken] = value
        batching.take(self._batches, ONLY, self._taken)
        self._taken += 1

    def advance(self, until: float) -> None:
        """Let time pass."""
        batching.advance(self._batches, ONLY, until)
