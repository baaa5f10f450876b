"""A switchback as a test says it: one pod in periods of a minute, with the change and without it by turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fakes.builders import NOW, a_distribution

from trimtab_operator.model.arms import Arms, Period, Recent, SlotValue, TrialTimes
from trimtab_operator.model.signals import Buckets, Signal

POD = "chat-0"
SLOT_SECONDS, PERIOD_SECONDS, SETTLING_SECONDS = 10.0, 60.0, 20.0
PAIRS = 6
RUN_IN_PERIODS = 4

Level = float | Callable[[int, bool], float | None] | None
"""A signal's value, or one by number of the period and whether it has the change; None is no data."""


def the_times(pairs: int = PAIRS) -> TrialTimes:
    """Measured from NOW on, judged after so many pairs."""
    return TrialTimes(NOW - 600.0, NOW - SETTLING_SECONDS, NOW, NOW, NOW + 2 * pairs * PERIOD_SECONDS)


def turns(
    levels: Mapping[Signal, Level] | None = None,
    durations: Callable[[int, bool], Buckets | None] | None = None,
    *,
    pairs: int = PAIRS,
) -> Arms:
    """A pod at 30 requests/s, 0.8 busy, without errors, but for what a test says; the change is in every odd period.

    The run-in are the periods below 0, without the change; `durations` are those of requests in a period.
    """
    usual: dict[Signal, Level] = {
        Signal.REQUESTS_PER_SECOND: 30.0,
        Signal.ERRORS_PER_SECOND: 0.0,
        Signal.BUSY_RATIO: 0.8,
    }
    periods = tuple(map(_period, range(-RUN_IN_PERIODS, 2 * pairs)))
    if durations is not None:
        periods = tuple(_with(each, durations(each.number, each.changed)) for each in periods)
    slots = {signal: {POD: _values(level, periods)} for signal, level in (usual | dict(levels or {})).items()}
    return Arms(SLOT_SECONDS, (POD,), (), slots, distributions={}, since=NOW, periods=periods)


def with_turn(
    arms: Arms,
    *,
    requests: float | None = 30.0,
    errors: float | None = 0.0,
    durations: Buckets | None = None,
    in_force_seconds: float = 10.0,
) -> Arms:
    """What the pod did in the last ten seconds, of the time for which it has the change again; rates per second."""
    signal, end = Signal.LATENCY_SECONDS, NOW + 2 * PAIRS * PERIOD_SECONDS
    rates = {Signal.REQUESTS_PER_SECOND: requests, Signal.ERRORS_PER_SECOND: errors}
    recent = Recent(
        in_force_at=end - in_force_seconds,
        begin=end - 10.0,
        end=end,
        rates={name: {POD: rate} for name, rate in rates.items() if rate is not None},
        distributions={} if durations is None else {signal: a_distribution(signal, {POD: durations})},
    )
    return replace(arms, recent=recent)


def without(arms: Arms, *numbers: int) -> Arms:
    """The same, but for some periods that nobody saw."""
    return replace(arms, periods=tuple(period for period in arms.periods if period.number not in numbers))


def _period(number: int) -> Period:
    start = NOW + number * PERIOD_SECONDS
    changed = number >= 0 and number % 2 == 1
    return Period(number, changed, start + SETTLING_SECONDS, start + PERIOD_SECONDS, over=True)


def _with(period: Period, found: Buckets | None) -> Period:
    if found is None:
        return period
    signal = Signal.LATENCY_SECONDS
    return replace(period, distributions={signal: a_distribution(signal, {POD: found})})


def _values(level: Level, periods: tuple[Period, ...]) -> tuple[SlotValue, ...]:
    """A value for each slot of every period; in the slots that are not measured the pod does the very opposite."""
    found = []
    for period in periods:
        for slot in range(round(PERIOD_SECONDS / SLOT_SECONDS)):
            ends = period.begin - SETTLING_SECONDS + (slot + 1) * SLOT_SECONDS
            settled = ends > period.begin
            value = level(period.number, period.changed is settled) if callable(level) else level
            if value is not None:
                found.append(SlotValue(ends, value))
    return tuple(found)
