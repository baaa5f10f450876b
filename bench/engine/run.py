"""What a measure is given: how long it looks, which rivals take part, what the sweeps found, when its time is up."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine.extent import Extent
from bench.engine.sweep import Sweeps


def say(text: str) -> None:
    """Tell a person how far the bench is."""
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Run:
    """One run of the bench; `only`: the rivals asked for, none = all. `ends_at` in monotonic seconds."""

    extent: Extent
    only: Sequence[str]
    sweeps: Sweeps
    ends_at: float

    @property
    def quick(self) -> bool:
        """Whether its figures judge nothing."""
        return self.extent.quick

    def late(self) -> bool:
        """Whether the time of the measure is up."""
        return time.monotonic() > self.ends_at
