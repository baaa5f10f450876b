"""The fast loop of Dynamo's planner: it looks at the queue of each worker, and adds or removes one.

Source: components/src/dynamo/planner/core/load_scaling.py of ai-dynamo 1.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What a worker is held to; with one worker fewer, to a share of its latencies."""

    ttft_seconds: float
    tpot_seconds: float
    kv_tokens: float
    down_ratio: float


@dataclass(frozen=True)
class Estimates:
    """What the next request of one worker would see: now, and with its share of the load of a worker that goes.

    `alone_seconds` is its time to first token then, without the queue before it.
    """

    ttft_seconds: float
    tpot_seconds: float
    alone_seconds: float
    fewer_ttft_seconds: float
    fewer_tpot_seconds: float
    fewer_kv_tokens: float

    def keeps_ttft(self, limits: Limits) -> bool:
        """Return whether the queue would stay within a share of what its own prompt leaves of the objective."""
        left_seconds = limits.ttft_seconds - self.alone_seconds
        return self.fewer_ttft_seconds - self.alone_seconds < left_seconds * limits.down_ratio

    def keeps_tpot(self, limits: Limits) -> bool:
        """Return whether all would fit into the cache, and tokens would come within a share of the objective."""
        fits = self.fewer_kv_tokens < limits.kv_tokens
        return fits and self.fewer_tpot_seconds < limits.tpot_seconds * limits.down_ratio


def growth_of(workers: int) -> float:
    """Return how many times its load a worker has once one of them is gone."""
    return workers / (workers - 1) if workers > 1 else 1.0


def replicas_of_load(workers: Sequence[Estimates], starting: int, limits: Limits, least: int) -> int | None:
    """Return the replicas to ask for; None where what is asked for stays.

    One more where every worker is late, or slow; one fewer where every one could take its share of another. While
    workers start, nothing is added: they are called off where one fewer would do.
    """
    ready = len(workers)
    late = all(each.ttft_seconds > limits.ttft_seconds for each in workers)
    slow = all(each.tpot_seconds > limits.tpot_seconds for each in workers)
    removable = ready > 1 or starting > 0
    spare = removable and all(each.keeps_ttft(limits) and each.keeps_tpot(limits) for each in workers)
    if starting:
        fewer = max(ready - 1, least)
        return fewer if spare and not late and not slow and fewer <= ready else None
    change = 1 if late or slow else -1 if spare else 0
    wanted = max(ready + change, least)
    return wanted if wanted != ready else None
