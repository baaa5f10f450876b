"""What the rules of a trial look at before it is made: the world of one tick, and what was tried in this search."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import HistoryEntry
from trimtab_api.trial import OptimizationTrial, TrialPhase
from trimtab_operator.decision.engines import trial_pods
from trimtab_operator.decision.surge import standing_surge
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.snapshot import Pod, Snapshot, Target

Held = tuple[str, str]
"""(reason, sentence)"""


@dataclass(frozen=True)
class Ground:
    """A policy past its baseline, with the target that it tunes."""

    snapshot: Snapshot
    analysis: Analysis
    policy: OptimizationPolicy
    target: Target

    @property
    def search(self) -> tuple[OptimizationTrial, ...]:
        """The trials since the baseline was taken."""
        return search_of(self.policy, self.snapshot.trials)

    @property
    def pods(self) -> tuple[Pod, ...]:
        """The pods that a trial may compare."""
        return trial_pods(self.target, self.analysis.worse_pods)

    @property
    def surge(self) -> HistoryEntry | None:
        """The entry of the ledger by which a replica was added for a trial; None where none stands."""
        return standing_surge(self.policy.status, self.target.replicas)


def search_of(policy: OptimizationPolicy, trials: tuple[OptimizationTrial, ...]) -> tuple[OptimizationTrial, ...]:
    """Return the trials that were made since the policy's baseline was taken; none without a baseline."""
    baseline = policy.status.baseline
    if baseline is None:
        return ()
    made = ((trial, trial.metadata.creation_timestamp) for trial in trials)
    return tuple(trial for trial, at in made if at is not None and at >= baseline.to)


def trial_under_way(snapshot: Snapshot) -> OptimizationTrial | None:
    """Return the newest trial where it is not over yet."""
    newest = snapshot.trials[-1] if snapshot.trials else None
    return newest if newest is not None and newest.status.phase is not TrialPhase.FINISHED else None
