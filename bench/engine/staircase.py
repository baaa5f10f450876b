"""The highest rate that a contender holds, by a staircase of its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

GOOD_SHARE = 0.99
FIRST_STEP = 1.12
SMALLEST_STEP = 1.02
LONGEST_STRAIGHT = 3


@dataclass(frozen=True)
class Staircase:
    """Up after a slice that was held, down after one that was not.

    The step shrinks at each turn to the smallest, and grows again after three in one direction: one bad slice early on
    must not leave the staircase far away with small steps.

    It hovers where a slice is held half of the time (Dixon and Mood 1948). All contenders climb theirs in the same
    rounds, so a machine that slows down lowers them together, and the ratio of two levels keeps its meaning.
    """

    rate: float
    step: float = FIRST_STEP
    rising: bool | None = None
    straight: int = 0
    turns: int = 0

    def after(self, good: int, offered: int) -> Staircase:
        """Return the staircase for the next slice, `good` of `offered` requests having been right and in time."""
        held = good >= GOOD_SHARE * offered
        turned = self.rising is not None and held != self.rising
        straight = 1 if turned else self.straight + 1
        step = self.step
        if turned:
            step = max(SMALLEST_STEP, step**0.5)
        elif straight >= LONGEST_STRAIGHT:
            step = min(FIRST_STEP, step**1.5)
        rate = self.rate * step if held else self.rate / step
        return Staircase(rate, step, held, straight, self.turns + turned)

    @property
    def settled(self) -> bool:
        """Whether it has turned: before, it only came nearer to the rate that it looks for."""
        return self.turns > 0
