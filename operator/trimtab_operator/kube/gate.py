"""The write gate: open while the Lease is surely ours by the monotonic clock, and asked immediately before each write.

A Lease cannot fence a write that is already sent; so writes carry a resourceVersion too, and time out before another
process can hold the Lease.
"""

from __future__ import annotations

import math

from trimtab_operator.clock import Clock
from trimtab_operator.errors import LeadershipLost


class WriteGate:
    """Closed from the start. Time alone closes it: a process stopped for a while finds it closed when it wakes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open_until = -math.inf

    @property
    def is_open(self) -> bool:
        """Whether a write may be sent now."""
        return self._clock.monotonic() < self._open_until

    def open_until(self, monotonic_seconds: float) -> None:
        """Open until then (monotonic seconds): called by the elector after each renewal."""
        self._open_until = monotonic_seconds

    def close(self) -> None:
        """Nothing may be written any more."""
        self._open_until = -math.inf

    def check(self) -> None:
        """Pass, or refuse.

        Raises:
            LeadershipLost: the Lease is not held, or its renewal is overdue.
        """
        if not self.is_open:
            raise LeadershipLost("the Lease is not held by this process: nothing was written")
