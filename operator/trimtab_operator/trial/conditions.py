"""The closed list of conditions, each from what this tick knows. lastTransitionTime moves only with the status."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from trimtab_api.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    ConflictReason,
    EngineAttachedReason,
    MetricsTrustedReason,
    ProgressingReason,
    ReadyReason,
    TargetResolvedReason,
)
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_api.policy_status import Intent, Phase
from trimtab_api.trial import TrialPhase
from trimtab_operator.analysis.constraints import ownership, spec_problems
from trimtab_operator.analysis.tunable import has_knobs
from trimtab_operator.model.analysis import Analysis, Constraint, Trust
from trimtab_operator.model.decision import Change, Decision, Hold
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES
from trimtab_operator.trial.attachment import attachment
from trimtab_operator.trial.objectives_met import objectives_met
from trimtab_operator.trial.reopening import load_changed, sentence
from trimtab_operator.trial.steer import Course

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
Verdict = tuple[ConditionStatus, str, str]


@dataclass(frozen=True)
class Told:
    """All that the conditions speak about."""

    phase: Phase
    snapshot: Snapshot
    analysis: Analysis
    decision: Decision
    policy: OptimizationPolicy
    intent: Intent | None
    course: Course = field(default_factory=Course)

    @cached_property
    def conflict(self) -> Constraint | None:
        """Who else owns the target or its replicas."""
        if isinstance(self.snapshot.target, TargetProblem):
            return None
        return ownership(self.snapshot, self.snapshot.target, self.policy)


def conditions(told: Told, now: datetime) -> tuple[Condition, ...]:
    """Return all seven conditions."""
    before = {condition.type: condition for condition in told.policy.status.conditions}
    made: list[Condition] = []
    for kind, rule in _RULES.items():
        status, reason, message = rule(told)
        standing = before.get(kind)
        made.append(
            Condition(
                type=kind,
                status=status,
                reason=reason,
                message=message[:2048],
                last_transition_time=standing.last_transition_time if standing and standing.status is status else now,
                observed_generation=told.policy.metadata.generation,
            )
        )
    return tuple(made)


def _ready(told: Told) -> Verdict:
    broken = _unusable(told)
    if broken is not None:
        return broken
    if told.policy.spec.mode is Mode.PAUSED:
        return TRUE, ReadyReason.PAUSED, "spec.mode is Paused: the target is measured, nothing is changed"
    trust = told.analysis.trust
    if not trust.trusted:
        return _distrust(trust), ReadyReason.METRICS_UNTRUSTED, trust.message
    if told.phase in (Phase.DISCOVERY, Phase.ANALYSIS) or told.policy.spec.mode is Mode.RECOMMEND:
        return TRUE, ReadyReason.OBSERVING, "the target is measured"
    return TRUE, ReadyReason.OPTIMIZING, "the target is measured and kept at the replicas that its load needs"


def _unusable(told: Told) -> Verdict | None:
    problems = spec_problems(told.policy)
    if problems:
        return FALSE, ReadyReason.INVALID_SPEC, problems[0].reason
    if isinstance(told.snapshot.target, TargetProblem):
        return FALSE, ReadyReason.TARGET_NOT_FOUND, told.snapshot.target.message
    return (FALSE, ReadyReason.CONFLICTED, told.conflict.reason) if told.conflict else None


def _distrust(trust: Trust) -> ConditionStatus:
    """Return False for measurements that are wrong, Unknown while they are only not there yet."""
    return UNKNOWN if trust.reason == MetricsTrustedReason.COLLECTING else FALSE


def _target(told: Told) -> Verdict:
    target = told.snapshot.target
    if isinstance(target, TargetProblem):
        known = target.reason in tuple(TargetResolvedReason)
        return FALSE, target.reason if known else TargetResolvedReason.NOT_FOUND, target.message
    name = f"{target.kind} {target.namespace}/{target.name}"
    if not target.pods and target.replicas > 0:
        return FALSE, TargetResolvedReason.NO_PODS, f"{name} has no pods: look at the events of its ReplicaSet"
    if target.runtime not in RUNTIMES:
        known_runtimes = ", ".join(RUNTIMES)
        message = f"container {target.container} of {name} runs no runtime that is known ({known_runtimes})"
        return FALSE, TargetResolvedReason.UNKNOWN_RUNTIME, f"{message}: only its CPU and GPU are read"
    return TRUE, TargetResolvedReason.FOUND, f"{name}, container {target.container}, runtime {target.runtime}"


def _trusted(told: Told) -> Verdict:
    trust = told.analysis.trust
    if trust.trusted:
        return TRUE, trust.reason, trust.message
    return _distrust(trust), trust.reason, trust.message


def _objectives(told: Told) -> Verdict:
    return objectives_met(told.analysis.objectives)


def _engine(told: Told) -> Verdict:
    target = told.snapshot.target
    if isinstance(target, TargetProblem) or not has_knobs(told.policy, target):
        message = "no engine has to take settings: the policy lets nothing be turned but replicas"
        return UNKNOWN, EngineAttachedReason.NOT_REQUIRED, message
    return attachment(told.snapshot, target, told.policy)


_HELD = {
    "Paused": ProgressingReason.PAUSED,
    "RecommendOnly": ProgressingReason.RECOMMEND_ONLY,
    "MaxModeRecommend": ProgressingReason.MAX_MODE_RECOMMEND,
    "Frozen": ProgressingReason.FROZEN,
}


def _progressing(told: Told) -> Verdict:
    decision = told.decision
    if told.conflict is not None:
        return FALSE, ProgressingReason.CONFLICTED, told.conflict.reason
    if told.intent is not None or isinstance(decision, Change):
        return TRUE, ProgressingReason.SCALING, decision.message
    trial = told.course.trial
    if trial is not None:
        change = f"{trial.spec.change_summary} by {trial.spec.design}"
        why = f": {trial.status.reason}" if trial.status.phase is TrialPhase.REVERTING else ""
        return TRUE, _OF_TRIAL[trial.status.phase], f"trial {trial.metadata.name}: {change}{why}"
    if not told.analysis.trust.trusted:
        return FALSE, ProgressingReason.METRICS_UNTRUSTED, told.analysis.trust.message
    if decision.reason == ProgressingReason.UNSCHEDULABLE:
        return FALSE, ProgressingReason.UNSCHEDULABLE, decision.message
    return _at_rest(told, decision)


def _at_rest(told: Told, decision: Hold) -> Verdict:
    target = told.snapshot.target
    if told.phase in (Phase.DISCOVERY, Phase.ANALYSIS):
        return TRUE, ProgressingReason.BASELINE, _being_measured(told)
    if decision.reason in _HELD:
        return FALSE, _HELD[decision.reason], decision.message
    if not isinstance(target, TargetProblem) and len(target.ready_pods) < target.replicas:
        return TRUE, ProgressingReason.SCALING, f"{len(target.ready_pods)} of {target.replicas} replicas are ready"
    return FALSE, ProgressingReason.STEADY, _steady(told, decision)


def _being_measured(told: Told) -> str:
    drift = load_changed(told.analysis, told.course)
    if drift is not None:
        return f"the load has changed: {sentence(drift)}"
    return f"{told.analysis.coverage_seconds / 60.0:.0f} min of {told.policy.spec.observation.window} measured"


def _steady(told: Told, decision: Hold) -> str:
    """Say what holds the replicas, and why no setting is being tried."""
    held = told.course.held
    if held is None or held[0] in ("NoKnobs", decision.reason):
        return decision.message
    return f"{decision.message}; settings: {held[0]}: {held[1]}"


_OF_TRIAL = {
    TrialPhase.UNKNOWN: ProgressingReason.TRIAL_RUNNING,
    TrialPhase.AWAITING_APPROVAL: ProgressingReason.AWAITING_APPROVAL,
    TrialPhase.RUN_IN: ProgressingReason.TRIAL_RUNNING,
    TrialPhase.STARTING: ProgressingReason.TRIAL_RUNNING,
    TrialPhase.SHADOW: ProgressingReason.TRIAL_RUNNING,
    TrialPhase.MEASURING: ProgressingReason.TRIAL_RUNNING,
    TrialPhase.ROLLING_OUT: ProgressingReason.ROLLING_OUT,
    TrialPhase.VALIDATING: ProgressingReason.TRIAL_RUNNING,
    TrialPhase.REVERTING: ProgressingReason.ROLLING_BACK,
}


def _conflict(told: Told) -> Verdict:
    if told.conflict is None:
        return FALSE, ConflictReason.NONE, "nobody else owns the target or its replicas"
    return TRUE, told.conflict.name, told.conflict.reason


_RULES = {
    ConditionType.READY: _ready,
    ConditionType.TARGET_RESOLVED: _target,
    ConditionType.METRICS_TRUSTED: _trusted,
    ConditionType.OBJECTIVES_MET: _objectives,
    ConditionType.ENGINE_ATTACHED: _engine,
    ConditionType.PROGRESSING: _progressing,
    ConditionType.CONFLICT: _conflict,
}
