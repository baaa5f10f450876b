"""What is looked at again while a variant is in force: its speed at the batch size that is served now. Pure.

A plan that saves time in large batches may cost some in small ones: what is done once per layer and pass does not
shrink with the batch. So a plan is timed again when the batch size has moved since, and taken back where it is slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trimtab_engine.variants.accuracy import Task
from trimtab_engine.variants.capture import CapturedInput, InputSets
from trimtab_engine.variants.course import Admitted, Wish, gated
from trimtab_engine.variants.planner import timed
from trimtab_engine.variants.probe import Course, Probe, Refused

_SIZE_FACTOR = 1.5
EVERY_SECONDS = 60.0  # at most: a timing takes up to 120 passes
NO_LONGER_FASTER = "NoLongerFaster"


def timing_due(timed_size: int, served_size: int, seconds_since: float) -> bool:
    """Whether to time a plan again that was timed at one batch size, so long ago, and serves another now."""
    moved = max(timed_size, served_size) >= _SIZE_FACTOR * min(timed_size, served_size)
    return moved and seconds_since >= EVERY_SECONDS


def timed_again(probe: Probe, known: Admitted, inputs: Sequence[CapturedInput]) -> Course[Admitted]:
    """Time a variant in pairs with the original at the probe's batch size.

    Raises:
        Refused: NoLongerFaster; one that may be as fast as the original stays.
    """
    speedup = yield from timed(probe, known.variant, inputs)
    if speedup.high < 1.0:
        raise Refused(
            NO_LONGER_FASTER,
            f"in batches of {probe.batch_size} it is {speedup.value:.3f} times as fast as the original, at most "
            f"{speedup.high:.3f}; in batches of {known.found.batch_size} it was {known.found.speedup.value:.3f} times",
        )
    return replace(known, found=replace(known.found, speedup=speedup, batch_size=probe.batch_size))


def checked_again(probe: Probe, wish: Wish, task: Task, sets: InputSets, known: Admitted) -> Course[Admitted]:
    """Gate and time a variant again: the traffic is another, perhaps of other lengths."""
    anew = yield from gated(probe, wish, task, sets, known.found)
    return (yield from timed_again(probe, anew, sets.search))
