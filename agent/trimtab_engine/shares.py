"""Fair shares of a device's time between models, by start-time fair queueing. Pure: seconds come in.

Each model has a virtual time: the device seconds that were its own. Among those that wait, the one that is furthest
behind goes first, equal ones by their earliest deadline. A model that has nothing to do earns no credit: when it comes
back it starts where the model that was served last did. Over any time in which two models always have a batch to run,
their device seconds differ by at most the longest batch of each (Goyal, Vin and Cheng: Start-time Fair Queueing, 1996,
theorem 1), however long their batches are; so a slow model delays another one by one batch at a time.
"""

from __future__ import annotations

from collections.abc import Mapping


class FairShares:
    """Whose turn it is on a device."""

    def __init__(self) -> None:
        self._now = 0.0  # virtual seconds: where the pass that began last started
        self._ends: dict[str, float] = {}  # virtual seconds at which each model's last pass ended

    def in_turn(self, deadlines: Mapping[str, float]) -> list[str]:
        """Return the models that wait, by whose turn it is; `deadlines` has the earliest of each (seconds)."""
        return sorted(deadlines, key=lambda model: (self._start(model), deadlines[model]))

    def began(self, model: str) -> None:
        """Note that a pass of a model begins."""
        self._now = self._start(model)

    def ended(self, model: str, seconds: float) -> None:
        """Charge a model with the device seconds of a pass."""
        self._ends[model] = self._start(model) + seconds

    def _start(self, model: str) -> float:
        return max(self._now, self._ends.get(model, 0.0))
