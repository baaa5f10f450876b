"""How long a batch that has room waits when the engine itself decides. Pure.

Waiting for one more costs each of those that wait the gap until it comes and the time of its row. It saves what one
pass more costs, which the newcomer would wait for less the gap. So it pays while

    n * (gap + T(n+1) - T(n)) < T(n) + T(1) - T(n+1) - gap

which spares the device passes and costs no latency. In simulation neither a longer wait nor a batch smaller than what
waits lowered the latency of the mean or of the slowest hundredth, at any load: hence no limit of size but what is set.
"""

from __future__ import annotations

from collections.abc import Sequence

from trimtab_engine.batching.latency_model import LatencyModel
from trimtab_engine.jobs import Item

_PASSES_SAVED = 2.0  # of the first of those that wait: it waits at most for so many
_PASS_SHARE = 0.5  # who comes as the pass begins waits for it and is in the next: two passes within the target
_GAPS = 2.0  # after so many without an arrival the question is asked anew


def goes_at(
    items: Sequence[Item], now: float, target_seconds: float, latency: LatencyModel, per_second: float
) -> float:
    """Return when a batch of all that waits is to start, at the latest; now or earlier where waiting does not pay.

    `target_seconds`: of latency, which the wait leaves room for. `per_second`: how many items arrive.
    """
    size, tokens = len(items), sum(item.length for item in items)
    longest = max(item.length for item in items)
    seconds = latency.seconds(size, tokens, longest)
    if per_second == 0.0 or seconds == 0.0:
        return now
    gap, one = 1.0 / per_second, tokens // size
    larger = latency.seconds(size + 1, tokens + one, longest)
    saved = seconds + latency.seconds(1, one, one) - larger
    if size * (gap + larger - seconds) >= saved - gap:
        return now
    room = min(_PASSES_SAVED * saved, _PASS_SHARE * target_seconds - seconds)
    return min(min(item.enqueued_at for item in items) + room, now + _GAPS * gap)
