"""Readiness waits a little for the first settings, so that a new pod of a tuned fleet starts tuned."""

from __future__ import annotations


class FirstSettings:
    """Whether the first settings are known, or were waited for long enough. Once settled, settled for ever."""

    def __init__(self, wait_seconds: float) -> None:
        """Wait at most so long after the worker is ready; 0 waits for nothing."""
        self._wait_seconds = wait_seconds
        self._settled = wait_seconds <= 0

    def settle(self) -> None:
        """End the wait: the settings are in force, or the agent has said that there are none."""
        self._settled = True

    def settled(self, now: float, worker_ready_at: float) -> bool:
        """Tell whether traffic may come, at monotonic `now`, the worker being ready since `worker_ready_at`."""
        if now - worker_ready_at >= self._wait_seconds:
            self._settled = True
        return self._settled
