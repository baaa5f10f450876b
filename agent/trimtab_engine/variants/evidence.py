"""What was found of a variant before it answered a request, in the few numbers that are reported. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """Its agreement with the original on `inputs` that nothing was chosen by, and its speed.

    `accuracy_low` is the lower end of a 95 % interval; `speedup` how many times as fast it was timed, None where it
    was refused before it was timed.
    """

    accuracy_low: float
    inputs: int
    speedup: float | None
