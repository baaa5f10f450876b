"""Values of the last seconds, as most autoscalers keep them."""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value", int, float)


class Window(Generic[Value]):
    """Values with their times, dropped once they are so many seconds old."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: list[tuple[float, Value]] = []

    def record(self, now: float, value: Value) -> None:
        """Keep a value of now, and forget what is too old."""
        self._values = [each for each in self._values if each[0] > now - self._seconds]
        self._values.append((now, value))

    def after(self, moment: float) -> list[Value]:
        """Return the values that are younger than a moment."""
        return [value for time, value in self._values if time > moment]

    def mean(self, now: float) -> float:
        """Return the mean of what is in the window; 0 for nothing."""
        values = self.after(now - self._seconds)
        return sum(values) / len(values) if values else 0.0
