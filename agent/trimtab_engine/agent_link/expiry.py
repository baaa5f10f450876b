"""The end of a trial: the fallback comes in force by our own clock, whether or not anybody can still be asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from trimtab_engine.agent_link.document import Trial


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Do not call."""
        ...


class TrialEnd:
    """At most one trial runs; `expired` hears of its end once, unless another document ended it before."""

    def __init__(
        self,
        monotonic: Callable[[], float],
        later: Callable[[float, Callable[[], None]], Timer],
        expired: Callable[[Trial], None],
    ) -> None:
        self._monotonic = monotonic
        self._later = later
        self._expired = expired
        self._timer: Timer | None = None
        self._trial: Trial | None = None
        self._due_at: float | None = None

    @property
    def due_at(self) -> float | None:
        """Monotonic seconds at which the trial ends; None without one."""
        return self._due_at

    def begin(self, trial: Trial) -> None:
        """Start the time of a trial, in place of the one before."""
        self.cancel()
        self._trial, self._due_at = trial, self._monotonic() + trial.expires_in_seconds
        self._timer = self._later(trial.expires_in_seconds, self._look)

    def cancel(self) -> None:
        """Forget the trial: a newer document counts."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._trial = self._due_at = None

    def _look(self) -> None:
        trial, due_at = self._trial, self._due_at
        if trial is None or due_at is None:
            return
        left = due_at - self._monotonic()
        if left > 0:  # the loop's timers have millisecond steps and may be early
            self._timer = self._later(left, self._look)
            return
        self.cancel()
        self._expired(trial)
