"""The last hour, day and week of a target, read anew only when a step of five minutes has passed.

Two range queries for each signal, one after another: trends are worth no haste. The first that fails ends the round,
for all targets, for five minutes: a Prometheus that cannot look back a week must not hold up the ticks.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from trimtab_api.findings import TrendSpan
from trimtab_operator.model.past import STEP_SECONDS, STEPS, Past, Steps
from trimtab_operator.model.series import points_since
from trimtab_operator.model.signals import Series, Signal, SignalState
from trimtab_operator.observation.history import SETTLE_SECONDS
from trimtab_operator.observation.look import Look
from trimtab_operator.runtimes.table import Query

RETRY_SECONDS: Final = 300.0
REMEMBERED: Final = 5_000  # targets
_HOUR, _DAY, _WEEK = STEP_SECONDS[TrendSpan.HOUR], STEP_SECONDS[TrendSpan.DAY], STEP_SECONDS[TrendSpan.WEEK]
_STEPS_OF_A_DAY = _WEEK // _DAY

_Key = tuple[str, str, tuple[Query, ...]]


@dataclass(frozen=True)
class _Kept:
    past: Past
    due: float  # unix seconds


@dataclass(frozen=True)
class _Silence:
    message: str = ""
    ends_at: float = 0.0  # unix seconds


class PastStore:
    """The past of each target, shared by the ticks until its next step; it can be rebuilt from Prometheus."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._silence = _Silence()

    async def read(self, look: Look, queries: tuple[Query, ...], percentiles: Mapping[Signal, int]) -> Past:
        """Return the past of the target of `look`, by these queries."""
        key, now = (look.scope.namespace, look.scope.target, queries), look.scope.now
        kept = self._kept.get(key)
        if kept is not None and now < kept.due:
            self._kept.move_to_end(key)
            return kept.past
        if now < self._silence.ends_at:
            return Past({}, {}, dict(percentiles), self._silence.message)
        past = await _read(look, queries, percentiles)
        if past.message:
            self._silence = _Silence(past.message, now + RETRY_SECONDS)
            return past
        self._kept[key] = _Kept(past, _settled(now, _HOUR) + _HOUR)
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)
        return past


def _settled(now: float, step: int) -> float:
    """Return the first time at which the newest point that is known now was known."""
    return float(_newest(now, step) + SETTLE_SECONDS)


def _newest(now: float, step: int) -> int:
    return math.floor((now - SETTLE_SECONDS) / step) * step


async def _read(look: Look, queries: Sequence[Query], percentiles: Mapping[Signal, int]) -> Past:
    """Read hour and week of each signal; nothing but the message where one of them fails."""
    steps: dict[TrendSpan, dict[Signal, Steps]] = {span: {} for span in TrendSpan}
    end, coarse_end = _newest(look.scope.now, _HOUR), _newest(look.scope.now, _DAY)
    for query in queries:
        hour = await look.series(query, _HOUR * STEPS[TrendSpan.HOUR], _HOUR)
        if hour.state is SignalState.ERROR:
            return Past({}, {}, dict(percentiles), hour.message)
        week = await look.series(query, _WEEK * STEPS[TrendSpan.WEEK], _DAY)
        if week.state is SignalState.ERROR:
            return Past({}, {}, dict(percentiles), week.message)
        steps[TrendSpan.HOUR][query.signal] = _steps(hour, end, _HOUR, STEPS[TrendSpan.HOUR])
        every = _steps(week, coarse_end, _DAY, _STEPS_OF_A_DAY * STEPS[TrendSpan.WEEK])
        steps[TrendSpan.DAY][query.signal] = every[-STEPS[TrendSpan.DAY] :]
        steps[TrendSpan.WEEK][query.signal] = _days(every)
    middle = coarse_end - _WEEK / 2.0  # a mean over a day stands for its noon
    until = {TrendSpan.HOUR: float(end), TrendSpan.DAY: float(coarse_end), TrendSpan.WEEK: middle}
    return Past(steps, until, dict(percentiles))


def _steps(series: Series, end: int, step: int, count: int) -> Steps:
    """Return the last values up to `end`, one for each step; None where there is no point."""
    values = {round(point.at): point.value for point in points_since(series, end - count * step)}
    return tuple(values.get(end - back * step) for back in reversed(range(count)))


def _days(steps: Steps) -> Steps:
    """Return the mean of each day; None for a day of which less than half is known."""
    days = [steps[first : first + _STEPS_OF_A_DAY] for first in range(0, len(steps), _STEPS_OF_A_DAY)]
    known = [[value for value in day if value is not None] for day in days]
    return tuple(fmean(day) if 2 * len(day) >= _STEPS_OF_A_DAY else None for day in known)
