"""How many trials are kept: the last twenty, and all of the present search. The history's summary counts the others."""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.trial import TrialPhase
from trimtab_operator.decision.ground import search_of
from trimtab_operator.model.action import DeleteTrial
from trimtab_operator.model.snapshot import Snapshot

KEPT_TRIALS = 20


def prune(policy: OptimizationPolicy, snapshot: Snapshot) -> tuple[DeleteTrial, ...]:
    """Return the deletion of the oldest trial that is no longer kept; one for each tick at most."""
    status = policy.status
    pointed_to = {status.current_trial, policy.spec.rollback_to}
    if status.last_known_good is not None:
        pointed_to.add(status.last_known_good.trial)
    needed = {trial.metadata.name for trial in search_of(policy, snapshot.trials)} | pointed_to
    for trial in snapshot.trials[: max(0, len(snapshot.trials) - KEPT_TRIALS)]:
        if trial.metadata.name not in needed and trial.status.phase is TrialPhase.FINISHED:
            return (DeleteTrial(str(trial.metadata.namespace), trial.metadata.name),)
    return ()
