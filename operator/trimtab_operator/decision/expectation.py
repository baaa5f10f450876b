"""What a change of a knob is expected to do to capacity, from physics where it is known and wide ranges where not.

A pass through the model takes a + c·n for n items: a is paid once (launches, weights through memory), c for each item.
With s = a / (a + c) the busy time of an item in batches of b is s/b + (1 - s), as a share of that of a single one.
"""

from __future__ import annotations

from dataclasses import dataclass

SHARED_PART = (0.3, 0.1, 0.7)  # prior of s: point, and ends of its range; padding and a busy CPU leave less to share
CACHE_SAVING = (0.15, 0.0, 0.5)  # where nobody has measured how often inputs repeat
REPEATS_HELD = 0.8  # of the repeats that were seen, as many are still held when they come
REPEATS_SPREAD = 0.5  # relative, of that saving
LONGER_WAIT_FILLS = 1.25
FORMAT_GAIN = (0.25, -0.1, 1.0)  # 8-bit products where the machine has them; the engine refuses a plan that is slower
VARIANT_GAIN = (0.25, -0.5, 2.0)  # what a declared model costs is not known before it is tried
EVICTION_GAIN = (0.06, -0.1, 0.5)  # of what the cache misses though it was seen before, a part
SHORTER_WAIT_LATENCY = (-0.10, -0.5, 0.0)
SHORTER_PASS_LATENCY = (-0.15, -0.5, 0.1)  # long inputs are rare or not; how much of a pass they are is not measured
ADAPTIVE_LATENCY = (-0.10, -0.6, 0.2)  # what the engine learns of its passes against what somebody has set


@dataclass(frozen=True)
class Expectation:
    """A relative change (0.2: 20 % more), with its range."""

    effect: float
    low: float
    high: float


NO_CHANGE = Expectation(0.0, -0.1, 0.1)


def of_batch(before: float, after: float) -> Expectation:
    """Expect this change of capacity when batches of `before` items become batches of `after`."""
    changes = [_busy_share(part, before) / _busy_share(part, after) - 1.0 for part in SHARED_PART]
    return Expectation(changes[0], min(changes), max(changes))


def of_pass(before: float, after: float) -> Expectation:
    """Expect this change of the time of one pass."""
    changes = [after * _busy_share(part, after) / (before * _busy_share(part, before)) - 1.0 for part in SHARED_PART]
    return Expectation(changes[0], min(changes), max(changes))


def of_faster_pass(capacity: Expectation) -> Expectation:
    """Expect this change of the time of one pass when capacity changes so."""
    ends = [1.0 / (1.0 + each) - 1.0 for each in (capacity.effect, capacity.high, capacity.low)]
    return Expectation(*ends)


def of_cache(repeats: float | None) -> Expectation:
    """Expect this change of capacity when a cache may answer this share of the inputs that the model answers now."""
    if repeats is None:
        return Expectation(*map(_saved, CACHE_SAVING))
    saving = REPEATS_HELD * repeats
    ends = (saving * (1.0 - REPEATS_SPREAD), min(repeats, saving * (1.0 + REPEATS_SPREAD)))
    return Expectation(*map(_saved, (saving, *ends)))


def _busy_share(part: float, batch: float) -> float:
    return part / batch + 1.0 - part


def _saved(share: float) -> float:
    """Turn a share of the work that is saved into more capacity; at most a hundredfold."""
    return 1.0 / (1.0 - min(0.99, share)) - 1.0
