"""Which conditions are not as they should be. Pure."""

from __future__ import annotations

from trimtab_api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    EngineAttachedReason,
    ObjectivesMetReason,
    ProgressingReason,
)
from trimtab_api.policy_status import PolicyStatus

HELD_BACK = frozenset(
    {
        ProgressingReason.UNSCHEDULABLE,
        ProgressingReason.METRICS_UNTRUSTED,
        ProgressingReason.CONFLICTED,
        ProgressingReason.WRITE_FAILED,
        ProgressingReason.FROZEN,
        ProgressingReason.MAX_MODE_RECOMMEND,
    }
)
"""Reasons that hold a policy back against its own mode. Paused and RecommendOnly are what its owner asked for."""


def concerns(status: PolicyStatus) -> tuple[Condition, ...]:
    """Return the conditions that a person should look at, in the order of status."""
    return tuple(row for row in status.conditions if _is_amiss(row))


def _is_amiss(row: Condition) -> bool:
    if row.type is ConditionType.CONFLICT:
        return row.status is not ConditionStatus.FALSE
    if row.type is ConditionType.PROGRESSING:
        return row.reason in HELD_BACK
    if row.type is ConditionType.OBJECTIVES_MET and row.reason == ObjectivesMetReason.WILL_MISS:
        return True
    if row.type is ConditionType.ENGINE_ATTACHED and row.reason == EngineAttachedReason.NOT_REQUIRED:
        return False
    return row.status is not ConditionStatus.TRUE
