"""Builders of a target's past: constants, and lines that go somewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fakes.builders import NOW

from trimtab_api.findings import TrendSpan
from trimtab_operator.model.past import STEP_SECONDS, STEPS, Past
from trimtab_operator.model.signals import Signal

Rule = float | Callable[[TrendSpan], tuple[float, ...]]
"""A constant, or the values of the steps of each span."""


def a_ramp(end: float, per_hour: float) -> Rule:
    """A line that changes by `per_hour` and ends at `end`, over each span."""

    def values(span: TrendSpan) -> tuple[float, ...]:
        hours = STEP_SECONDS[span] / 3600.0
        return tuple(end - per_hour * hours * back for back in reversed(range(STEPS[span])))

    return values


def a_past(
    signals: Mapping[Signal, Rule], *, message: str = "", percentiles: Mapping[Signal, int] | None = None
) -> Past:
    """A past without gaps that ends now."""
    steps = {
        span: {
            signal: (rule,) * STEPS[span] if isinstance(rule, float) else rule(span) for signal, rule in signals.items()
        }
        for span in TrendSpan
    }
    return Past(steps, dict.fromkeys(TrendSpan, NOW), dict(percentiles or {}), message)
