"""The wish on its way through the guardrails, and what they may look at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_spec import Scaling
from trimtab_operator.analysis import lookback
from trimtab_operator.model.analysis import Analysis, Evidence
from trimtab_operator.model.snapshot import Snapshot, Target

READINGS_SECONDS = 20.0  # window of the readings where none tells


@dataclass(frozen=True)
class Tick:
    """One tick of a policy that may scale."""

    snapshot: Snapshot
    target: Target
    analysis: Analysis
    policy: OptimizationPolicy
    scaling: Scaling

    @property
    def now(self) -> float:
        """Time of the snapshot, unix seconds."""
        return self.snapshot.now

    @property
    def stabilization_seconds(self) -> float:
        """Time whose largest demand bounds a scale-down."""
        return lookback.stabilization_seconds(self.policy)

    @property
    def readings_seconds(self) -> float:
        """Longest window of the readings: how long a start-up stays visible in rates."""
        windows = [reading.window_seconds for reading in self.snapshot.readings.values()]
        return max(windows, default=0.0) or READINGS_SECONDS


@dataclass(frozen=True)
class Proposal:
    """Replicas that the target has (`current`), that were wished (`uncapped`), and what is left of that (`desired`)."""

    current: int
    uncapped: int
    desired: int
    reason: str
    message: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def up(self) -> bool:
        """Whether replicas would be added."""
        return self.desired > self.current

    @property
    def down(self) -> bool:
        """Whether replicas would be removed."""
        return self.desired < self.current

    def held(self, reason: str, message: str) -> Proposal:
        """Return the proposal that changes nothing, for this reason."""
        return replace(self, desired=self.current, reason=reason, message=message)

    def limited(self, desired: int, reason: str, message: str) -> Proposal:
        """Return the proposal with another number, for this reason."""
        return replace(self, desired=desired, reason=reason, message=message)
