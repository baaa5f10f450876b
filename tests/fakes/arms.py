"""Both arms of a trial as a test says them: constant or noisy slots, and the histograms since the change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fakes.builders import NOW, a_distribution

from trimtab_operator.model.arms import Arms, Recent, SlotValue, TrialTimes
from trimtab_operator.model.signals import Buckets, Signal

SLOT_SECONDS = 10.0
RUN_IN_SLOTS = 6
SLOTS = 12
CHANGED_AT = NOW
SETTLED_AT = NOW + SLOT_SECONDS
UNTIL = SETTLED_AT + SLOTS * SLOT_SECONDS

Level = Callable[[int], float] | float | None
"""A signal's value by number of the slot (negative in the run-in), the same in all, or no data."""


def the_times(until: float = UNTIL) -> TrialTimes:
    """A run-in of six slots, one slot to settle, twelve measured."""
    return TrialTimes(CHANGED_AT - RUN_IN_SLOTS * SLOT_SECONDS, CHANGED_AT, SETTLED_AT, SETTLED_AT, until)


def some_arms(
    canary: Mapping[Signal, Level] | None = None,
    stable: Mapping[Signal, Level] | None = None,
    distributions: Mapping[Signal, tuple[Buckets | None, Buckets | None]] | None = None,
    run_in_slots: int = RUN_IN_SLOTS,
) -> Arms:
    """Two pods at 30 requests/s, 0.8 busy, without errors, but for what a test says of each."""
    usual: dict[Signal, Level] = {
        Signal.REQUESTS_PER_SECOND: 30.0,
        Signal.ERRORS_PER_SECOND: 0.0,
        Signal.BUSY_RATIO: 0.8,
    }
    levels = {"canary-0": usual | dict(canary or {}), "stable-0": usual | dict(stable or {})}
    slots: dict[Signal, dict[str, tuple[SlotValue, ...]]] = {}
    for pod, of_pod in levels.items():
        for signal, level in of_pod.items():
            values = _values(level, run_in_slots)
            if values:
                slots.setdefault(signal, {})[pod] = values
    return Arms(
        slot_seconds=SLOT_SECONDS,
        canary=("canary-0",),
        stable=("stable-0",),
        slots=slots,
        distributions={
            signal: a_distribution(
                signal,
                {name: each for name, each in zip(levels, pair, strict=True) if each is not None},
            )
            for signal, pair in (distributions or {}).items()
        },
        since=SETTLED_AT,
    )


def with_recent(
    arms: Arms,
    *,
    requests: float = 30.0,
    errors: tuple[float, float] = (0.0, 0.0),
    durations: tuple[Buckets, Buckets] | None = None,
    in_force_seconds: float = 10.0,
) -> Arms:
    """What both pods did in the last ten seconds, of the time for which the change is in force; rates per second."""
    pods, signal = (*arms.canary, *arms.stable), Signal.LATENCY_SECONDS
    end = CHANGED_AT + in_force_seconds
    recent = Recent(
        in_force_at=CHANGED_AT,
        begin=end - 10.0,
        end=end,
        rates={
            Signal.REQUESTS_PER_SECOND: dict.fromkeys(pods, requests),
            Signal.ERRORS_PER_SECOND: dict(zip(pods, errors, strict=True)),
        },
        distributions={signal: a_distribution(signal, dict(zip(pods, durations, strict=True)))} if durations else {},
    )
    return replace(arms, recent=recent)


def _values(level: Level, run_in_slots: int) -> tuple[SlotValue, ...]:
    if level is None:
        return ()
    return tuple(
        SlotValue(CHANGED_AT + (number + 1) * SLOT_SECONDS, level(number) if callable(level) else level)
        for number in range(-run_in_slots, SLOTS + 1)
    )


def after_change(before: float, after: float) -> Level:
    """A level that changes with the change."""
    return lambda number: before if number < 0 else after
