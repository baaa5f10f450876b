"""Which of the items that wait share a batch where each pays for the longest one's length. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from trimtab_engine.batching.latency_model import LatencyModel
from trimtab_engine.jobs import Item

WINDOW_BATCHES = 2  # among so many from the head like ones are looked for; more found nothing more in simulation
_MOST_CUTS = 16
_GAIN = 1.05  # less than that is within what the latency model does not know


def like_the_first(items: list[Item], most: int, latency: LatencyModel) -> list[Item]:
    """Return those that go together with the first, in their order; all of them where grouping does not pay.

    The items, sorted by length, are cut into the groups that are served one after another in the least time, by dynamic
    programming over at most 16 places where a cut may be. It pays where that is 5 % less than the time of batches of
    `most` in the given order. The first item's group goes first, so nobody is passed over more often than there are
    items before him; and where all fit into one batch, everybody is done before that batch would have been.
    """
    if len({item.length for item in items}) == 1:
        return items
    in_order = sum(_seconds(items[start : start + most], latency) for start in range(0, len(items), most))
    by_length = sorted(items, key=lambda item: item.length)
    lengths = [item.length for item in by_length]
    cuts, before, seconds = _cheapest_cuts(lengths, most, latency)
    if seconds * _GAIN > in_order:
        return items
    first, end = bisect_left(lengths, items[0].length), len(cuts) - 1  # sorting kept it first of its length
    while cuts[before[end]] > first:
        end = before[end]
    together = set(map(id, by_length[cuts[before[end]] : cuts[end]]))
    return [item for item in items if id(item) in together]


def _seconds(items: Sequence[Item], latency: LatencyModel) -> float:
    lengths = [item.length for item in items]
    return latency.seconds(len(lengths), sum(lengths), max(lengths))


def _cheapest_cuts(lengths: Sequence[int], most: int, latency: LatencyModel) -> tuple[list[int], list[int], float]:
    """Return where a cut may be, from which each best group that ends there begins, and the seconds of all groups."""
    tokens = list(accumulate(lengths, initial=0))
    cuts = [*range(0, len(lengths), -(-len(lengths) // _MOST_CUTS)), len(lengths)]
    best, before = [0.0], [0]
    for end in range(1, len(cuts)):
        stop = cuts[end]
        least, found = float("inf"), 0
        for begin in range(end - 1, -1, -1):
            start = cuts[begin]
            passes = -(-(stop - start) // most)
            rows, places = (stop - start) / passes, (tokens[stop] - tokens[start]) / passes
            seconds = best[begin] + passes * latency.seconds(round(rows), places, lengths[stop - 1])
            if seconds < least:
                least, found = seconds, begin
        best.append(least)
        before.append(found)
    return cuts, before, best[-1]
