"""One replica that batches continuously, as an event model: time advances from one change of the batch to the next.

A decoding step with n running sequences takes `step + n x sequence` seconds and gives each of them one token. A prompt
is read alone, while the running sequences wait (Yu et al., Orca, OSDI 2022); then its sequence takes part in
`first_token_steps` steps before its first token comes: a first token waits for the steps that are under way and for
the prompts that are read in pieces beside it. `overhead` is what it takes besides, without the device. Between two
changes every sequence advances alike, so one number, the tokens that a sequence which was always there would have, says
where all of them stand.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServingModel:
    """What passes take, in seconds, and what fits: sequences at once, and tokens in the KV cache."""

    step_seconds: float
    sequence_seconds: float
    prompt_token_seconds: float
    first_token_steps: float = 0.0
    overhead_seconds: float = 0.0
    max_sequences: int = 1024
    kv_tokens: float = math.inf

    def token_seconds(self, running: int) -> float:
        """Return what one decoding step takes."""
        return self.step_seconds + running * self.sequence_seconds


@dataclass(frozen=True)
class Request:
    """One request; times in seconds, lengths in tokens (at least one to generate)."""

    number: int
    arrived: float
    prompt_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """What it takes of the KV cache when it ends."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True)
class Served:
    """A request that was answered: when its prompt was begun, and when its first and its last token came."""

    request: Request
    begun: float
    first_token: float
    finished: float

    @property
    def queue_seconds(self) -> float:
        """Time in the queue."""
        return self.begun - self.request.arrived

    @property
    def latency_seconds(self) -> float:
        """Time from its arrival to its last token."""
        return self.finished - self.request.arrived

    @property
    def ttft_seconds(self) -> float:
        """Time to first token."""
        return self.first_token - self.request.arrived

    @property
    def tpot_seconds(self) -> float:
        """Mean time of each token after the first; 0 where there is only one."""
        after = self.request.output_tokens - 1
        return (self.finished - self.first_token) / after if after else 0.0


@dataclass(frozen=True)
class _Reading:
    """A prompt that is being read."""

    request: Request
    begun: float
    until: float


@dataclass(frozen=True, order=True)
class _Due:
    """When a running sequence gives its first or its last token, in tokens of a sequence that was always there."""

    tokens: float
    number: int
    request: Request = field(compare=False)
    begun: float = field(compare=False)
    first_token: float | None = field(default=None, compare=False)


class Replica:
    """A queue, at most one prompt that is being read, and the sequences that decode."""

    def __init__(self, model: ServingModel, now: float = 0.0) -> None:
        self.model = model
        self.now = now
        self.busy_seconds = 0.0
        self._queue: deque[Request] = deque()
        self._reading: _Reading | None = None
        self._due: list[_Due] = []
        self._tokens = 0.0
        self._kv_tokens = 0

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue)

    @property
    def running(self) -> int:
        """Requests that are read or decoded."""
        return len(self._due) + (self._reading is not None)

    @property
    def kv_ratio(self) -> float:
        """Share of the KV cache that is taken."""
        return self._kv_tokens / self.model.kv_tokens

    def arrive(self, request: Request) -> list[Served]:
        """Take a request at its time; return what was answered before."""
        served = self.advance(request.arrived)
        self.take(request)
        return served

    def take(self, request: Request) -> None:
        """Take a request now; it may have waited elsewhere since it arrived."""
        self._queue.append(request)
        self._admit()

    def next_change(self) -> float:
        """Return when the batch changes next, in seconds; infinity where nothing is left to do."""
        if self._reading is not None:
            return self._reading.until
        if self._due:
            return self.now + (self._due[0].tokens - self._tokens) * self.model.token_seconds(len(self._due))
        return math.inf

    def advance(self, until: float) -> list[Served]:
        """Let time pass; return what was answered, in order."""
        served: list[Served] = []
        while (change := self.next_change()) <= until:
            self._pass(change)
            if self._reading is not None:
                self._join(self._reading, served)
            else:
                self._reach(heapq.heappop(self._due), served)
            self._admit()
        self._pass(until)
        return served

    def _pass(self, until: float) -> None:
        seconds = until - self.now
        if self._reading is None and self._due:
            self._tokens += seconds / self.model.token_seconds(len(self._due))
        if self.running:
            self.busy_seconds += seconds
        self.now = until

    def _admit(self) -> None:
        """Begin to read the next prompt where there is room for it."""
        if self._reading is not None or not self._queue or len(self._due) >= self.model.max_sequences:
            return
        if self._due and self._kv_tokens + self._queue[0].tokens > self.model.kv_tokens:
            return
        request = self._queue.popleft()
        self._kv_tokens += request.tokens
        self._reading = _Reading(request, self.now, self.now + request.prompt_tokens * self.model.prompt_token_seconds)

    def _join(self, read: _Reading, served: list[Served]) -> None:
        """Let a sequence whose prompt is read take part in the steps from now on."""
        self._reading = None
        due = _Due(self._tokens + self.model.first_token_steps, read.request.number, read.request, read.begun)
        if self.model.first_token_steps > 0.0:
            heapq.heappush(self._due, due)
        else:
            self._reach(due, served)

    def _reach(self, due: _Due, served: list[Served]) -> None:
        """Let a sequence give its first token and go on, or its last and leave."""
        self._tokens, after = due.tokens, due.request.output_tokens - 1
        first = self.now + self.model.overhead_seconds if due.first_token is None else due.first_token
        if due.first_token is None and after > 0:
            heapq.heappush(self._due, _Due(self._tokens + after, due.number, due.request, due.begun, first))
            return
        self._kv_tokens -= due.request.tokens
        served.append(Served(due.request, due.begun, first, max(first, self.now + self.model.overhead_seconds)))
