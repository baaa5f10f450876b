"""The complete new status of a policy. Printer columns say `Unknown` where a thing is not known; blank is a bug."""

from __future__ import annotations

from trimtab_api.findings import ObjectiveState
from trimtab_api.policy_status import PolicyStatus, ReplicasStatus
from trimtab_api.texts import UNKNOWN
from trimtab_operator.model.analysis import Constraint
from trimtab_operator.model.ledger import why
from trimtab_operator.model.snapshot import TargetProblem
from trimtab_operator.trial import render, texts
from trimtab_operator.trial.conditions import Told, conditions
from trimtab_operator.trial.reopening import reopens

NO_OBJECTIVES = "None"


def compose(told: Told) -> PolicyStatus:
    """Compose the status after this tick; what this version does not know of stays as it is."""
    before, now = told.policy.status, texts.when(told.snapshot.now)
    analysis = told.analysis
    anew = reopens(analysis, told.course)
    baseline = None if anew else before.baseline
    if baseline is None and not anew and analysis.baseline is not None:
        baseline = render.baseline(analysis.baseline, told.snapshot, told.policy)
    status = before.model_copy(
        update={
            "observed_generation": told.policy.metadata.generation,
            "phase": told.phase,
            "phase_since": before.phase_since if before.phase is told.phase and before.phase_since else now,
            "conditions": conditions(told, now),
            "replicas": _replicas(told),
            "intent": told.intent,
            "baseline": baseline,
            "bottleneck": render.bottleneck(analysis.bottleneck, told.policy, now),
            "constraints": render.constraints(_constraints(told)),
            "objectives": render.objectives(analysis.objectives, told.policy, now),
            "scorecard": render.scorecard(analysis.scorecard, told.policy, now),
            "saving": render.saving(told.snapshot, told.policy, now),
            "tuning": told.course.tuning,
            "current_trial": told.course.current_trial,
            "last_known_good": told.course.good,
        }
    )
    return status.model_copy(update=_columns(status, told))


def _constraints(told: Told) -> tuple[Constraint, ...]:
    own = told.course.constraint
    return told.analysis.constraints if own is None else (*told.analysis.constraints, own)


def _replicas(told: Told) -> ReplicasStatus | None:
    target, decision = told.snapshot.target, told.decision
    if isinstance(target, TargetProblem):
        return None
    return ReplicasStatus(
        current=target.replicas,
        desired=decision.desired,
        uncapped=decision.uncapped,
        reason=why(decision.reason, decision.message),
        at=texts.when(told.snapshot.now),
    )


def _columns(status: PolicyStatus, told: Told) -> dict[str, str]:
    return {
        "objectives_summary": _objectives(status),
        "bottleneck_summary": status.bottleneck.kind if status.bottleneck else UNKNOWN,
        "replicas_summary": _replicas_column(status.replicas),
        "saving_summary": f"{float(status.saving.ratio):.0%}" if status.saving else UNKNOWN,
        "trusted_summary": "True" if told.analysis.trust.trusted else told.analysis.trust.reason,
    }


def _objectives(status: PolicyStatus) -> str:
    states = [result.met for result in status.objectives]
    if not states:
        return NO_OBJECTIVES
    if all(state is ObjectiveState.NOT_MEASURED for state in states):
        return UNKNOWN
    return f"{states.count(ObjectiveState.MET)}/{len(states)}"


def _replicas_column(replicas: ReplicasStatus | None) -> str:
    if replicas is None or replicas.current is None:
        return UNKNOWN
    if replicas.desired is None or replicas.desired == replicas.current:
        return str(replicas.current)
    return f"{replicas.current}→{replicas.desired}"
