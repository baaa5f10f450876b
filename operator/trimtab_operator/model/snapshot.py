"""Everything that one tick may know. The same snapshot and policy give the same step; nothing later reads time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from trimtab_api.trial import OptimizationTrial
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.past import Past
from trimtab_operator.model.signals import Distribution, GpuReading, GpuSource, Reading, Series, Signal


@dataclass(frozen=True)
class Pod:
    """A pod of the target, as the API server shows it. Times are unix seconds; resources in cores, bytes, devices."""

    name: str
    uid: str
    node: str | None
    ready: bool
    deleting: bool
    created_at: float
    ready_at: float | None = None
    started_at: float | None = None  # when the youngest of its containers was last started
    unschedulable_since: float | None = None
    unschedulable_message: str = ""
    restarts: int = 0
    cpu_request_cores: float | None = None
    cpu_limit_cores: float | None = None
    memory_limit_bytes: float | None = None
    network_limit_bytes_per_second: float | None = None  # in either direction
    gpus: int = 0
    attachable: bool = False  # mounts a token with our audience: its engine can ask the node's agent


@dataclass(frozen=True)
class ReplicasOwner:
    """Somebody else who writes the target's replica count: a manifest that carries it, an HPA or a ScaledObject."""

    kind: Literal["Manifest", "HorizontalPodAutoscaler", "ScaledObject", "Scale"]
    name: str  # object's name, or the field manager's


@dataclass(frozen=True)
class Target:
    """The workload as read live in this tick. `resource_version` guards the write to its scale subresource."""

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    replicas: int  # spec.replicas
    container: str
    runtime: str  # name of a file in runtimes/
    template_hash: str
    rolling_out: bool
    pods: tuple[Pod, ...]
    replicas_owners: tuple[ReplicasOwner, ...] = ()

    @cached_property
    def ready_pods(self) -> tuple[Pod, ...]:
        """Pods that serve now."""
        return tuple(pod for pod in self.pods if pod.ready and not pod.deleting)


@dataclass(frozen=True)
class TargetProblem:
    """Why there is no target to look at: `reason` is a reason of the condition TargetResolved."""

    reason: str
    message: str


@dataclass(frozen=True)
class Snapshot:
    """One policy's world at `now` (unix seconds)."""

    now: float
    target: Target | TargetProblem
    taken_by: str | None = None  # older policy (namespace/name) on the same target
    max_mode: Literal["Recommend", "Apply"] = "Apply"
    scrape_interval_seconds: float | None = None
    gpu_source: GpuSource = "none"
    gpu_simulated: bool = False
    readings: dict[Signal, Reading] = field(default_factory=dict)
    distributions: dict[Signal, Distribution] = field(default_factory=dict)
    history: dict[Signal, Series] = field(default_factory=dict)  # over analysis.lookback.lookback_seconds(policy)
    # Histograms over the whole observation window; needed only until the baseline stands in status.
    window_distributions: dict[Signal, Distribution] = field(default_factory=dict)
    engines: dict[str, EngineState] = field(default_factory=dict)  # by pod uid, where a NodeTuning knows the pod
    trials: tuple[OptimizationTrial, ...] = ()  # of this policy, oldest first
    agent_namespace: str = "trimtab-system"  # where the agents' Service is
    approvers: dict[str, str] = field(default_factory=dict)  # by trial: field manager that wrote spec.approval
    arms: Arms | None = None  # while a trial is under way
    five_minutes: dict[Signal, Distribution] = field(default_factory=dict)  # histograms that an objective rests on
    hour: dict[Signal, Distribution] = field(default_factory=dict)  # the same over the last hour
    past: Past | None = None
    error_reasons: dict[str, float] = field(default_factory=dict)  # errors per second by reason, over five minutes
    layer_time: dict[str, float] = field(default_factory=dict)  # share of a pass by kind of layer, the costliest
    gpus: dict[Signal, GpuReading] = field(default_factory=dict)  # where a pod has several GPUs
