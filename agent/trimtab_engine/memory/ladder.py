"""What gives way when memory runs short, in order, and when it comes back. Pure: pressure and time come in.

One step up at a time, so that each has time to help; beyond the last threshold at once to the step before the last: a
single batch that took more than was predicted needs smaller ones after it, and no refusals. One step down after the
pressure has been well below the step's threshold for a while: the gap keeps it from flapping.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

CLIMB_SECONDS = 0.5
CALM_SECONDS = 5.0
"""How long the pressure must have been low before a step is left."""
SHED_CALM_SECONDS = 1.0
"""The same for the last step, where requests are refused: batches stay small after it."""
HYSTERESIS = 0.10


class Step(IntEnum):
    """How far the ladder is climbed; each step includes those below it."""

    NONE = 0
    NO_CACHE_ADMISSION = 1
    EVICT_CACHE = 2
    SMALL_BATCHES = 3
    DROP_SPARES = 4
    SHED = 5


UP_AT = {
    Step.NO_CACHE_ADMISSION: 0.75,
    Step.EVICT_CACHE: 0.80,
    Step.SMALL_BATCHES: 0.85,
    Step.DROP_SPARES: 0.90,
    Step.SHED: 0.95,
}
"""Pressure from which a step is wanted, see `reading.pressure`."""


@dataclass(frozen=True, slots=True)
class LadderState:
    """The present step, since when (monotonic seconds), and since when the pressure has been low enough to leave it."""

    step: Step = Step.NONE
    changed_at: float = -math.inf
    calm_since: float | None = None


def next_state(pressure: float | None, state: LadderState, now: float) -> LadderState:
    """Return where the ladder stands after a reading at monotonic `now`; pressure None = nothing is limited."""
    found = -math.inf if pressure is None else pressure
    wanted = max((step for step, threshold in UP_AT.items() if found >= threshold), default=Step.NONE)
    if wanted > state.step:
        if wanted is Step.SHED and state.step < Step.DROP_SPARES:
            return LadderState(Step.DROP_SPARES, now)
        if now - state.changed_at >= CLIMB_SECONDS:
            return LadderState(Step(state.step + 1), now)
        return LadderState(state.step, state.changed_at)
    if state.step is Step.NONE or found > UP_AT[state.step] - HYSTERESIS:
        return LadderState(state.step, state.changed_at)
    calm_since = now if state.calm_since is None else state.calm_since
    if now - calm_since >= (SHED_CALM_SECONDS if state.step is Step.SHED else CALM_SECONDS):
        return LadderState(Step(state.step - 1), now, now)
    return LadderState(state.step, state.changed_at, calm_since)


def batch_cap(step: Step, max_batch_size: int) -> int:
    """Return the most items per batch: half, a quarter and one of what is set on the last three steps."""
    if step < Step.SMALL_BATCHES:
        return max_batch_size
    return 1 if step is Step.SHED else max(1, max_batch_size >> (step - Step.SMALL_BATCHES + 1))
