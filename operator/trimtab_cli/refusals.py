"""What a person's word cannot do, said before it is written. Pure."""

from __future__ import annotations

from trimtab_api.trial import OptimizationTrial, TrialPhase


def cannot_be_said(trial: OptimizationTrial) -> str | None:
    """Return why this trial takes no word of a person now; None where it waits for one."""
    name, said, phase = trial.metadata.name, trial.spec.approval, trial.status.phase
    if said is not None:
        return f"trial {name} is already {said}, once for all; to take a change back: kubectl trimtab rollback"
    if phase in (TrialPhase.UNKNOWN, TrialPhase.AWAITING_APPROVAL):
        return None
    return f"trial {name} is {phase}: it waits for no approval; with trial.approval: Required in the policy, trials do"


def cannot_be_restored(trial: OptimizationTrial, policy: str) -> str | None:
    """Return why a policy cannot go back to the settings after this trial; None where it can."""
    name = trial.metadata.name
    if trial.spec.policy != policy:
        return f"trial {name} is one of policy {trial.spec.policy}, not of {policy}: see kubectl trimtab trials"
    if trial.status.phase is not TrialPhase.FINISHED:
        return f"trial {name} is {trial.status.phase}: only the settings after a finished trial can be restored"
    return None
