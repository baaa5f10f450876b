"""What the tuner is about to do, for the scaling law: a trial that needs the replicas, or one replica more for it."""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.decision.ground import Held, trial_under_way
from trimtab_operator.decision.proposal import Tick
from trimtab_operator.decision.strategy import SurgeWish, TrialProposal, strategize
from trimtab_operator.decision.surge import SURGE
from trimtab_operator.model.ledger import reason_in


def next_trial(tick: Tick) -> TrialProposal | SurgeWish | Held | None:
    """Return what is tried next, or why nothing is; None while a trial is under way."""
    if tick.policy.status.current_trial is not None or trial_under_way(tick.snapshot) is not None:
        return None
    return strategize(tick.snapshot, tick.analysis, _before_surge(tick.policy), tick.target)


def _before_surge(policy: OptimizationPolicy) -> OptimizationPolicy:
    """Return the policy without the intent of a surge: whether it is still wanted does not hang on itself."""
    intent = policy.status.intent
    if intent is None or reason_in(intent.reason) != SURGE:
        return policy
    return policy.model_copy(update={"status": policy.status.model_copy(update={"intent": None})})
