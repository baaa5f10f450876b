"""The condition ObjectivesMet: how the policy's own objectives stand, and where they go."""

from __future__ import annotations

from trimtab_api.conditions import ConditionStatus, ObjectivesMetReason
from trimtab_operator.model.analysis import Attainment, BurnRate, Miss, ObjectiveResult
from trimtab_operator.trial import texts


def objectives_met(results: tuple[ObjectiveResult, ...]) -> tuple[ConditionStatus, str, str]:
    """Return status, reason and message: missed now, missed again and again, not known, soon missed, met."""
    if not results:
        return ConditionStatus.TRUE, ObjectivesMetReason.NO_OBJECTIVES, "spec.objectives asks for nothing"
    violated = [result.name for result in results if result.attainment is Attainment.VIOLATED]
    if violated:
        return ConditionStatus.FALSE, ObjectivesMetReason.VIOLATED, f"violated: {', '.join(violated)}"
    burning = [_burning(result.name, result.burn) for result in results if result.burn and result.burn.lasting]
    if burning:
        return ConditionStatus.FALSE, ObjectivesMetReason.BURNING, "; ".join(burning)
    unknown = [result for result in results if result.attainment is Attainment.NOT_MEASURED]
    if len(unknown) == len(results) or any(result.guard for result in unknown):
        detail = "; ".join(f"{result.name}: {result.reason}" for result in unknown)
        return ConditionStatus.UNKNOWN, ObjectivesMetReason.NOT_MEASURED, detail
    missing = [_missing(result, result.miss) for result in results if result.miss]
    if missing:
        return ConditionStatus.TRUE, ObjectivesMetReason.WILL_MISS, "; ".join(missing)
    return ConditionStatus.TRUE, ObjectivesMetReason.ALL_MET, "every objective that was measured is met"


def _burning(name: str, burn: BurnRate) -> str:
    times = [
        f"{rate:.1f} times over {window}"
        for rate, window in ((burn.short, "5m"), (burn.long, "1h"))
        if rate is not None
    ]
    return f"{name}: more requests missed it than may: {' and '.join(times) or 'none may'}"


def _missing(result: ObjectiveResult, miss: Miss) -> str:
    slope, when = miss.slope, f"{texts.when(miss.at):%Y-%m-%d %H:%M} UTC"
    change, low, high, limit = (_shown(result, each) for each in (slope.per_hour, slope.low, slope.high, result.limit))
    value = "outside of what its histogram resolves" if result.value is None else _shown(result, result.value)
    going = f"is {value} and changes by {change} ({low} to {high}) an hour, as seen over {miss.over}"
    return f"{result.name} {going}: it will miss its limit of {limit} at about {when}"


def _shown(result: ObjectiveResult, value: float) -> str:
    return texts.with_unit(value, texts.unit_of(result.name), currency="")
