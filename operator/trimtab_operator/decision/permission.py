"""Whether a change may be made at all: ownership, what the user and the administrator allow, the calendar."""

from __future__ import annotations

from trimtab_api.objectives import GUARDS
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_operator.analysis.constraints import ownership
from trimtab_operator.analysis.freeze import frozen_by
from trimtab_operator.model.analysis import Analysis, Attainment
from trimtab_operator.model.snapshot import Snapshot, Target


def refusal(
    snapshot: Snapshot, target: Target, analysis: Analysis, policy: OptimizationPolicy, *, up: bool
) -> tuple[str, str] | None:
    """Return reason and message of what forbids a change in this direction; None if it may be made."""
    conflict = ownership(snapshot, target, policy)
    if conflict is not None:
        return conflict.name, conflict.reason
    if policy.spec.mode is Mode.PAUSED:
        return "Paused", "spec.mode is Paused: nothing is changed"
    if policy.spec.mode is Mode.RECOMMEND:
        return "RecommendOnly", "spec.mode is Recommend: the number is published, nothing is changed"
    if snapshot.max_mode == "Recommend":
        return "MaxModeRecommend", "the cluster's maxMode is Recommend: the number is published, nothing is changed"
    window = frozen_by(policy.spec, snapshot.now)
    if window is not None and not (up and _guard_violated(analysis)):
        return "Frozen", f"spec.freeze holds until {window.to} {window.time_zone}"
    return None


def _guard_violated(analysis: Analysis) -> bool:
    return any(result.name in GUARDS and result.attainment is Attainment.VIOLATED for result in analysis.objectives)
