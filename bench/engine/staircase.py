"""The highest rate that a contender holds, by a staircase of its own. Pure."""

from __future__ import annotations

from dataclasses import dataclass

GOOD_SHARE = 0.99
FIRST_STEP = 1.12
SMALLEST_STEP = 1.03


@dataclass(frozen=True)
class Staircase:
    """Up after a slice that was held, down after one that was not; the step shrinks at each turn to the smallest.

    It hovers where a slice is held half of the time (Dixon and Mood 1948). All contenders climb theirs in the same
    rounds, so a machine that slows down lowers them together, and the ratio of two levels keeps its meaning.
    """

    rate: float
    step: float = FIRST_STEP
    rising: bool | None = None

    def after(self, good: int, offered: int) -> Staircase:
        """Return the staircase for the next slice, `good` of `offered` requests having been right and in time."""
        held = good >= GOOD_SHARE * offered
        turned = self.rising is not None and held != self.rising
        step = max(SMALLEST_STEP, self.step**0.5) if turned else self.step
        return Staircase(self.rate * step if held else self.rate / step, step, held)

    @property
    def settled(self) -> bool:
        """Whether it has turned: before, it only came nearer to the rate that it looks for."""
        return self.step < FIRST_STEP
