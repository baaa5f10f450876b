"""A replica that was added for a trial, read back from the ledger: which one stands, and which one led to nothing.

Nothing else is stored of it. An entry of our own scaling with the reason Surge says that one was added; the change of
replicas that follows it says what became of it, and a trial that was made in between, that it was of use. What is
older than the baseline belongs to an earlier search.
"""

from __future__ import annotations

from datetime import datetime

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import HistoryEntry, PolicyStatus
from trimtab_api.trial import OptimizationTrial
from trimtab_api.trial_rules import DesignRule
from trimtab_operator.model.ledger import reason_of, replica_changes

SURGE = "Surge"
"""Reason of the scaling, in the intent and in the ledger."""


def may_surge(policy: OptimizationPolicy, replicas: int) -> bool:
    """Say whether a change may wish for one replica more: where there is one, or a person wants every trial so."""
    spec = policy.spec
    if spec.trial.design is DesignRule.AUTO:
        return replicas == 1 and spec.scaling is not None
    return spec.trial.design is DesignRule.SURGE


def standing_surge(status: PolicyStatus, replicas: int) -> HistoryEntry | None:
    """Return the entry of a surge after which nothing changed the replicas; None where there is none."""
    surge, after = _newest(status)
    return surge if surge is not None and after is None and int(surge.to) == replicas else None


def vain_surge(status: PolicyStatus, trials: tuple[OptimizationTrial, ...]) -> HistoryEntry | None:
    """Return the entry that took back the replica of the newest surge before a trial was made on it; None else."""
    surge, after = _newest(status)
    if surge is None or after is None or int(after.to) >= int(surge.to) or is_used(surge, trials, after.at):
        return None
    return after


def is_used(surge: HistoryEntry, trials: tuple[OptimizationTrial, ...], until: datetime | None = None) -> bool:
    """Say whether a trial was made after a surge, and before a time where one is given."""
    made = (trial.metadata.creation_timestamp for trial in trials)
    return any(at is not None and surge.at <= at <= (until or at) for at in made)


def _newest(status: PolicyStatus) -> tuple[HistoryEntry | None, HistoryEntry | None]:
    """Return the newest surge of this search and the change of replicas that followed it."""
    baseline = status.baseline
    changes = [entry for entry in replica_changes(status) if baseline is not None and entry.at >= baseline.to]
    surges = [number for number, entry in enumerate(changes) if reason_of(entry) == SURGE]
    following = (*changes[surges[-1] :], None, None)[:2] if surges else (None, None)
    return following[0], following[1]
