"""Requests that were answered, as columns. Times in seconds, lengths in tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimtab_operator.model.arrays import Floats
from trimtab_replay.batches import Ints, Requests


@dataclass(frozen=True)
class Answers:
    """When each came, when its prompt was begun, when its first and its last token came, and from which row's pod."""

    arrived: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    begun: Floats
    first_token: Floats
    finished: Floats
    pod: Ints

    def __len__(self) -> int:
        return len(self.arrived)

    @property
    def queue_seconds(self) -> Floats:
        """Time in the queue."""
        return self.begun - self.arrived

    @property
    def latency_seconds(self) -> Floats:
        """Time from arrival to the last token."""
        return self.finished - self.arrived

    @property
    def ttft_seconds(self) -> Floats:
        """Time to first token."""
        return self.first_token - self.arrived

    @property
    def tpot_seconds(self) -> Floats:
        """Mean time of each token after the first; 0 where there is only one."""
        after = self.output_tokens - 1.0
        return np.asarray((self.finished - self.first_token) / np.where(after > 0.0, after, np.inf))


def answers(requests: Requests, which: Ints) -> Answers:
    """Return the columns of these requests."""
    return Answers(
        requests.arrived[which],
        requests.prompt_tokens[which],
        requests.output_tokens[which],
        requests.begun[which],
        requests.first_token[which],
        requests.finished[which],
        requests.pod[which],
    )
