"""When a trial is judged: after its window, then after 2, 4, 8 … windows, and for the last time after maxWindow.

Each look may be wrong by chance; the looks share an error of 5 % (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass

ERROR = 0.05


@dataclass(frozen=True)
class Look:
    """The newest look whose time has come: its number from 1 (0: none yet), of how many, and how much was measured."""

    number: int
    of: int
    seconds: float

    @property
    def last(self) -> bool:
        """Whether the trial ends with this look."""
        return self.number == self.of

    @property
    def confidence(self) -> float:
        """Confidence of the intervals of each look."""
        return 1.0 - ERROR / self.of


def look_times(window: float, max_window: float) -> tuple[float, ...]:
    """Return after how many seconds of measurement each look is due."""
    times = []
    while window < max_window:
        times.append(window)
        window *= 2.0
    return (*times, max_window)


def look_number(elapsed: float, window: float, max_window: float) -> int:
    """Return how many looks are due after so many seconds; all three in seconds."""
    return sum(elapsed >= due for due in look_times(window, max_window))


def look_at(elapsed: float, window: float, max_window: float) -> Look:
    """Return the newest look that is due; before the first, one of number 0 over what was measured so far."""
    times, number = look_times(window, max_window), look_number(elapsed, window, max_window)
    return Look(number, len(times), times[number - 1] if number else elapsed)
