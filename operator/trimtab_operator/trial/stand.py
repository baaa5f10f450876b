"""A trial as it stands in one tick: what every stage looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import LedgerEvent
from trimtab_api.trial import OptimizationTrial, TrialDesign, TrialStatus
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.trust import interval_seconds
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.snapshot import Pod, Snapshot, Target


@dataclass(frozen=True)
class Stand:
    """Snapshot, analysis and policy of this tick, with the target and the trial that is under way."""

    snapshot: Snapshot
    analysis: Analysis
    policy: OptimizationPolicy
    target: Target
    trial: OptimizationTrial

    @property
    def now(self) -> float:
        """Time of the snapshot, unix seconds."""
        return self.snapshot.now

    @property
    def status(self) -> TrialStatus:
        """What is stored of the trial."""
        return self.trial.status

    @property
    def scrape_seconds(self) -> float:
        """Time between two scrapes."""
        return interval_seconds(self.snapshot)

    @property
    def by_turns(self) -> bool:
        """Whether one pod is both arms by turns."""
        return self.trial.spec.design is TrialDesign.SWITCHBACK

    def seconds_since(self, moment: datetime | None) -> float:
        """Return the seconds since a stored time, below 0 where it lies ahead; infinity where none is stored."""
        return math.inf if moment is None else self.now - moment.timestamp()

    def pod(self, uid: str) -> Pod | None:
        """Return a pod of the target that serves; None when it is gone, on its way out or not ready."""
        return next((pod for pod in self.target.ready_pods if pod.uid == uid), None)

    def lives(self, uid: str) -> bool:
        """Say whether a pod is there and stays; one that is not ready for a moment is."""
        return any(pod.uid == uid and not pod.deleting for pod in self.target.pods)

    def engine(self, uid: str) -> EngineState:
        """Return what is known of a pod's engine."""
        return self.snapshot.engines.get(uid, EngineState())

    def refusal_by(self, uid: str) -> str | None:
        """Return what the engine of a pod says against the change; None where it says nothing."""
        return self.engine(uid).refusal(of=self.trial.spec.canary)

    def refusal(self) -> str | None:
        """Return what an engine that was given the change says against it; None where none that serves does."""
        said = (self.refusal_by(uid) for uid in self.status.changed if self.pod(uid) is not None)
        return next((each for each in said if each is not None), None)

    def all_run(self, uids: tuple[str, ...], settings: EngineSettings) -> bool:
        """Say whether every one of these pods that still serves has put the settings in force."""
        return all(self.engine(uid).runs(settings) for uid in uids if self.pod(uid) is not None)


def alike_from(stand: Stand) -> float:
    """Return from when on (unix seconds) both arms had settled with the same settings, the trial's own aside."""
    serving = [stand.pod(pod.uid) for pod in stand.trial.spec.pods]
    since = [pod.ready_at or pod.created_at for pod in serving if pod is not None]
    others = (
        trial.status.changed_at for trial in stand.snapshot.trials if trial.metadata.name != stand.trial.metadata.name
    )
    since += [at.timestamp() for at in others if at is not None]
    since += [entry.at.timestamp() for entry in stand.policy.status.history if entry.what is LedgerEvent.ROLLED_BACK]
    return max(since, default=stand.now) + trial_time.settling(stand.scrape_seconds)
