"""Values of the last seconds, as most autoscalers keep them."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Value = TypeVar("Value", int, float)


class Window(Generic[Value]):
    """Values with their times, dropped once they are older than so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: deque[tuple[float, Value]] = deque()

    def record(self, now: float, value: Value) -> None:
        """Keep a value of now, and forget what is too old."""
        while self._values and self._values[0][0] < now - self._seconds:
            self._values.popleft()
        self._values.append((now, value))

    def since(self, moment: float) -> list[Value]:
        """Return the values that are not older than a moment."""
        return [value for time, value in self._values if time >= moment]

    def after(self, moment: float) -> list[Value]:
        """Return the values that are younger than a moment."""
        return [value for time, value in self._values if time > moment]

    def mean(self, now: float) -> float:
        """Return the mean of what is in the window; 0 for nothing."""
        values = self.after(now - self._seconds)
        return sum(values) / len(values) if values else 0.0
