"""What runs and waits on replicas that batch continuously, over the past, at the same looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab_operator.model import series
from trimtab_operator.model.arrays import Flags, Floats
from trimtab_operator.model.signals import Signal, spacing_seconds
from trimtab_operator.model.snapshot import Snapshot

MEAN_SECONDS = 60.0  # one look at a batch is an instant of it
CALM_SHARE = 0.02  # of what runs may wait without making durations longer
CROWDED_SHARE = 0.25  # of what runs waits where no more is taken


@dataclass(frozen=True)
class SequenceHistory:
    """By time `at` (unix seconds), oldest first: sequences of one replica, replicas, and requests that wait at all.

    The first two are means over about a minute. `waiting_share` is what waited over what ran, both in the mean of it.
    """

    at: tuple[float, ...]
    running: Floats
    replicas: Floats
    waiting: Floats
    waiting_share: Floats
    step_seconds: float

    @property
    def calm(self) -> Flags:
        """Whether next to nothing waited, by time."""
        return np.asarray(self.waiting_share <= CALM_SHARE)

    @property
    def crowded(self) -> Flags:
        """Whether many waited, by time."""
        return np.asarray(self.waiting_share > CROWDED_SHARE)

    def steps(self, seconds: float) -> int:
        """Return how many looks a time spans, one at least."""
        return max(1, round(seconds / self.step_seconds))

    def read(self, snapshot: Snapshot, signal: Signal) -> Floats:
        """Return another signal at these times; NaN where it is not known or not above 0."""
        known = {each.at: each.value for each in series.points_since(snapshot.history.get(signal), 0.0)}
        values = np.array([known.get(at, np.nan) for at in self.at])
        return np.where(values > 0.0, values, np.nan)


def sequence_history(snapshot: Snapshot) -> SequenceHistory | None:
    """Return what is known at the times of which running and waiting requests are; None where those are too few."""
    running, waiting = (
        series.points_since(snapshot.history.get(signal), 0.0)
        for signal in (Signal.RUNNING_REQUESTS, Signal.QUEUE_REQUESTS)
    )
    waiting_at = {each.at: each.value for each in waiting}
    points = [each for each in running if each.pods and each.at in waiting_at]
    step = spacing_seconds(points)
    if step is None:
        return None
    steps = max(1, round(MEAN_SECONDS / step))
    waits = [waiting_at[each.at] for each in points]
    ran, waited = (_moving(values, steps) for values in ([each.value for each in points], waits))
    return SequenceHistory(
        at=tuple(each.at for each in points),
        running=_moving([each.value / each.pods for each in points], steps),
        replicas=_moving([float(each.pods) for each in points], steps),
        waiting=np.array(waits),
        waiting_share=waited / np.maximum(1.0, ran),
        step_seconds=step,
    )


def _moving(values: Sequence[float], steps: int) -> Floats:
    """Return the mean of each value and up to `steps` - 1 before it."""
    sums = np.cumsum([0.0, *values])
    ends = np.arange(1, len(sums))
    starts = np.maximum(0, ends - steps)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
