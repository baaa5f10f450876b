"""What was measured in both arms, as a trial's status and column show it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from trimtab_api.findings import Measure
from trimtab_api.texts import UNKNOWN
from trimtab_api.trial import Observed
from trimtab_operator.model.comparison import Beside, Effect, GuardComparison, NotMeasured
from trimtab_operator.trial import texts

LARGEST_LOG = 30.0  # beyond that an interval says nothing


def change_of(log_ratio: float) -> float:
    """Turn the logarithm of a ratio into a relative change: 0.1 is 10 % more."""
    return math.expm1(max(-LARGEST_LOG, min(LARGEST_LOG, log_ratio)))


def percent(change: float) -> str:
    """Write a relative change with its sign; what is beyond tenfold is said to be so."""
    return f"{change:+.0%}" if change < 10.0 else "over +1000%"


def rows(beside: Iterable[Beside], goal: Effect | NotMeasured | None = None) -> tuple[Observed, ...]:
    """Write every measure of both arms; the goal's own carries the effect."""
    return tuple(_row(each, goal) for each in beside)


def summary(goal: Effect | NotMeasured, broken: GuardComparison | None = None) -> str:
    """Write what was seen in a few words: the guard that was broken, or else the effect, such as `throughput +61%`.

    Unknown until it is measured.
    """
    if broken is not None:
        return summary_of_breach(broken)
    if isinstance(goal, NotMeasured):
        return UNKNOWN
    if goal.of_capacity:
        return f"throughput {percent(change_of(-goal.log_ratio))}"
    return f"{goal.what} {percent(change_of(goal.log_ratio))}"


def summary_of_breach(guard: GuardComparison) -> str:
    """Write how a guard was broken in a few words."""
    return f"{guard.name}: {guard.canary:.1%} against {guard.stable:.1%}, {guard.limit:.1%} allowed"


def newer(before: tuple[Observed, ...], after: tuple[Observed, ...]) -> tuple[Observed, ...]:
    """Return both, the later of a measure that both have: each row speaks of a time of its own."""
    return tuple({row.measure: row for row in (*before, *after)}.values())


def _row(beside: Beside, goal: Effect | NotMeasured | None) -> Observed:
    effect = low = high = None
    if isinstance(goal, Effect) and beside.measure is _measure(goal):
        ends = (goal.log_ratio, goal.low, goal.high)
        if goal.of_capacity:
            ends = (-goal.log_ratio, -goal.high, -goal.low)
        effect, low, high = (texts.decimal(change_of(each)) for each in ends)
    return Observed(
        measure=beside.measure,
        canary=_value(beside.canary),
        stable=_value(beside.stable),
        unit=beside.unit,
        effect=effect,
        low=low,
        high=high,
        canary_samples=texts.count(round(beside.canary_samples)),
        stable_samples=texts.count(round(beside.stable_samples)),
    )


def _measure(goal: Effect) -> Measure | None:
    """Return the measure that the goal's effect speaks of; a share of late requests is none of them."""
    if goal.of_capacity:
        return Measure.THROUGHPUT
    return Measure.ENERGY_PER_REQUEST if goal.slots or goal.pairs else None


def _value(value: float | None) -> str | None:
    return None if value is None else texts.decimal(value)
