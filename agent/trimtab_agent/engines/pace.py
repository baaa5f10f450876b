"""How fast things may go: growing waits after failures, and token buckets that bound rates. Pure but for the dice."""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass


def spread(seconds: float, share: float) -> float:
    """Return `seconds` more or less by up to `share`, so that nodes do not act in step."""
    return seconds * random.uniform(1 - share, 1 + share)  # noqa: S311 - spread, not a secret


class Backoff:
    """Waits that double from `first_seconds` to `most_seconds`, each shortened by up to half."""

    def __init__(self, first_seconds: float, most_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._ceiling_seconds = first_seconds

    def next_seconds(self) -> float:
        """Return how long to wait now; the next wait is longer."""
        ceiling = self._ceiling_seconds
        self._ceiling_seconds = min(ceiling * 2, self._most_seconds)
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not a secret

    def reset(self) -> None:
        """Start again from the first wait."""
        self._ceiling_seconds = self._first_seconds


@dataclass(frozen=True)
class Rate:
    """So many a second on average, and so many at once."""

    per_second: float
    burst: int


class TokenBucket:
    """Admits at most `rate`. `clock` is monotonic, in seconds."""

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = float(rate.burst)
        self._at = clock()

    def take(self) -> float:
        """Return 0 when one more is admitted, else the seconds until one would be."""
        now = self._clock()
        self._tokens = min(self._rate.burst, self._tokens + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate.per_second


class Buckets:
    """One bucket for each key, at most `most` of them; the one that was not asked for longest gives way."""

    def __init__(self, rate: Rate, clock: Callable[[], float], most: int) -> None:
        self._rate = rate
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def retry_after_seconds(self, key: str) -> int:
        """Return 0 when one more of this key is admitted, else whole seconds until one would be."""
        bucket = self._buckets.setdefault(key, TokenBucket(self._rate, self._clock))
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return math.ceil(bucket.take())
