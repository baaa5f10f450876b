"""The highest rate at which ninety-nine in a hundred requests are right and in time, by a staircase. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine.statistics import geometric_mean

GOOD_SHARE = 0.99
FIRST_STEP, SMALLEST_STEP = 1.12, 1.02  # from one rate to the next
LARGEST_FALL = 1.3  # of a rate at once, however much was missed
LONGEST_STRAIGHT = 6  # slices in one direction before the step grows
MOST_DRIFT = 1.15  # from the first half of the levels that count to the second


@dataclass(frozen=True)
class Staircase:
    """Up by a step after a slice without a miss, down by a step for each hundredth missed beyond the first.

    So it hovers where one in a hundred is missed in the mean (stochastic approximation, Robbins and Monro 1951), also
    where misses come seldom and in crowds: a slice that misses twenty counts for twenty that miss one more than none.
    The step shrinks at each turn to the smallest (Kesten, Accelerated stochastic approximation, 1958), and grows again
    after long in one direction: bad slices early on must not leave the staircase far away with small steps.

    All contenders climb theirs in the same rounds, so a machine that slows down lowers them together, and the ratio of
    two levels keeps its meaning. `rate` is in requests per second.
    """

    rate: float
    step: float = FIRST_STEP
    rising: bool | None = None
    straight: int = 0
    turns: int = 0

    def after(self, good: int, offered: int) -> Staircase:
        """Return the staircase for the next slice, `good` of `offered` requests having been right and in time."""
        rises = good >= GOOD_SHARE * offered
        missed_share = (offered - good) / max(offered, 1)
        steps = 1.0 - missed_share / (1.0 - GOOD_SHARE)
        turned = self.rising is not None and rises != self.rising
        straight = 1 if turned else self.straight + 1
        step = self.step
        if turned:
            step = max(SMALLEST_STEP, step**0.5)
        elif straight > LONGEST_STRAIGHT:
            step = min(FIRST_STEP, step**1.5)
        change = max(steps * math.log(step), -math.log(LARGEST_FALL))
        return Staircase(self.rate * math.exp(change), step, rises, straight, self.turns + turned)

    @property
    def settled(self) -> bool:
        """Whether it has turned: before, it only came nearer to the rate that it looks for."""
        return self.turns > 0


def drift(levels: Sequence[float]) -> str:
    """Return how a staircase still rose or fell while it counted (requests per second); empty where it hovered.

    A contender that misses a hundredth at every rate has no capacity: its staircase falls for as long as it is watched.
    """
    half = len(levels) // 2
    if half == 0:
        return ""
    first, second = geometric_mean(levels[:half]), geometric_mean(levels[-half:])
    if max(first, second) <= MOST_DRIFT * min(first, second):
        return ""
    return f"its staircase went from {first:.0f}/s to {second:.0f}/s and found no level"
