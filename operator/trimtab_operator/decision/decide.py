"""Front door: one change that passed every guardrail, or a hold with its reason."""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Mode
from trimtab_operator.analysis.constraints import spec_problems
from trimtab_operator.decision.guardrails import GUARDRAILS
from trimtab_operator.decision.permission import refusal
from trimtab_operator.decision.proposal import Proposal, Tick
from trimtab_operator.decision.recommendation import settle
from trimtab_operator.decision.replicas import propose
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.decision import Change, Decision, Hold
from trimtab_operator.model.snapshot import Snapshot, TargetProblem


def decide(snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy) -> Decision:
    """Decide on the replicas. Pure: wish, guardrails in their order, permission; each step keeps its reason."""
    target, scaling = snapshot.target, policy.spec.scaling
    if isinstance(target, TargetProblem):
        return Hold(reason=target.reason, message=target.message)
    problems = spec_problems(policy)
    if problems:
        return Hold(reason="InvalidSpec", message=problems[0].reason, current=target.replicas)
    if scaling is None:
        return Hold(reason="NoScalingBlock", message="spec.scaling is absent", current=target.replicas)
    if target.replicas == 0:
        message = f"{target.kind} {target.name} is scaled to 0: somebody turned it off"
        return Hold(reason="ScaledToZero", message=message, current=0)
    tick = Tick(snapshot, target, analysis, policy, scaling)
    proposal = propose(tick)
    for guardrail in GUARDRAILS:
        proposal = guardrail(proposal, tick)
    forbidden = refusal(snapshot, target, analysis, policy, up=proposal.up)
    if forbidden is None:
        return _permitted(proposal)
    return _forbidden(settle(proposal, tick), forbidden, policy)


def _permitted(proposal: Proposal) -> Decision:
    if proposal.desired == proposal.current:
        reason = "Steady" if proposal.reason == "Utilization" else proposal.reason
        return Hold(reason, proposal.message, proposal.current, proposal.desired, proposal.uncapped, proposal.evidence)
    return Change(
        kind="Scale",
        current=proposal.current,
        desired=proposal.desired,
        uncapped=proposal.uncapped,
        reason=proposal.reason,
        message=proposal.message,
        evidence=proposal.evidence,
    )


def _forbidden(proposal: Proposal, forbidden: tuple[str, str], policy: OptimizationPolicy) -> Hold:
    reason, message = forbidden
    if policy.spec.mode is Mode.PAUSED:
        return Hold(reason, message, proposal.current)
    text = f"{message}. {proposal.reason}: {proposal.message}"
    return Hold(reason, text, proposal.current, proposal.desired, proposal.uncapped, proposal.evidence)
