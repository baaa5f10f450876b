"""Events for what changed between two states of a policy: one for each thing that a person would want to hear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from trimtab_api.conditions import Condition, ConditionStatus, ConditionType
from trimtab_api.policy_status import HistoryEntry, LedgerEvent, PolicyStatus
from trimtab_operator.model.action import Event

_BAD = {
    ConditionType.TARGET_RESOLVED: ConditionStatus.FALSE,
    ConditionType.METRICS_TRUSTED: ConditionStatus.FALSE,
    ConditionType.OBJECTIVES_MET: ConditionStatus.FALSE,
    ConditionType.CONFLICT: ConditionStatus.TRUE,
}
_LOUD_CONSTRAINTS = ("MaxReplicasReached", "UnschedulablePods", "InvalidSpec", "HardwareMismatch")


def announce(before: PolicyStatus, after: PolicyStatus) -> tuple[Event, ...]:
    """Return the events of the change; none where nothing changed."""
    return tuple(_all(before, after))


def _all(before: PolicyStatus, after: PolicyStatus) -> Iterator[Event]:
    if before.phase is not after.phase:
        yield Event("Normal", "PhaseChanged", f"{before.phase} → {after.phase}")
    known = {entry.id for entry in before.history}
    for entry in after.history:
        if entry.id not in known:
            yield _entry(entry)
    yield from _conditions(before, after)
    named = {each.name for each in before.constraints}
    for each in after.constraints:
        if each.name in _LOUD_CONSTRAINTS and each.name not in named:
            yield Event("Warning", each.name, each.reason)
    yield from _recommendation(before, after)


def _entry(entry: HistoryEntry) -> Event:
    if entry.what is LedgerEvent.SCALED:
        return Event("Normal", "Scaled", f"from {entry.from_} to {entry.to} replicas: {entry.why}")
    kind: Literal["Normal", "Warning"] = "Warning" if entry.what is LedgerEvent.ROLLED_BACK else "Normal"
    return Event(kind, entry.what, f"from {entry.from_} to {entry.to}: {entry.why}")


def _conditions(before: PolicyStatus, after: PolicyStatus) -> Iterator[Event]:
    standing = {condition.type: condition for condition in before.conditions}
    for condition in after.conditions:
        bad = _BAD.get(condition.type)
        earlier = standing.get(condition.type)
        if bad is None or _same(earlier, condition):
            continue
        if condition.status is bad:
            yield Event("Warning", _reason(condition), condition.message)
        elif earlier is not None and earlier.status is bad:
            yield Event("Normal", f"{condition.type}Recovered", condition.message)


def _same(earlier: Condition | None, condition: Condition) -> bool:
    return earlier is not None and (earlier.status, earlier.reason) == (condition.status, condition.reason)


def _reason(condition: Condition) -> str:
    """Return a reason that says what it is about: `MetricsNoData`, `ObjectivesViolated`, `TargetTaken`."""
    prefixes = {
        ConditionType.METRICS_TRUSTED: "Metrics",
        ConditionType.OBJECTIVES_MET: "Objectives",
        ConditionType.TARGET_RESOLVED: "Target",
    }
    return f"{prefixes.get(condition.type, '')}{condition.reason}"


def _recommendation(before: PolicyStatus, after: PolicyStatus) -> Iterator[Event]:
    """Announce a new number only where it differs from what runs and no write of ours follows."""
    now, then = after.replicas, before.replicas
    if now is None or now.desired is None or now.desired == now.current or after.intent is not None:
        return
    if then is None or then.desired != now.desired:
        yield Event("Normal", "Recommended", f"{now.desired} replicas instead of {now.current}: {now.reason}")
