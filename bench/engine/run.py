"""What a measure is given: how long it looks, what the sweeps found, and when its time is up."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.engine.extent import Extent
from bench.engine.sweep import Sweeps


@dataclass(frozen=True)
class Run:
    """One measure's part in a run; `ends_at` in monotonic seconds."""

    extent: Extent
    sweeps: Sweeps
    ends_at: float

    @property
    def quick(self) -> bool:
        """Whether its figures judge nothing."""
        return self.extent.quick

    def late(self) -> bool:
        """Whether the time of the measure is up."""
        return time.monotonic() > self.ends_at
