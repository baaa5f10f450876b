"""A simulated Deployment behind a gateway: pods that are ordered, start, serve, drain and go."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from trimtab_replay.batching import Replica, Request, Served, ServingModel

UNSCHEDULABLE = "0/{} nodes are available: insufficient nvidia.com/gpu"


@dataclass(frozen=True)
class FleetPlan:
    """What a pod is, how long it takes from its order until it serves, and how many find a node."""

    model: ServingModel
    startup_seconds: float = 120.0
    gpus: int = 1
    nodes: int = 1000


@dataclass
class SimulatedPod:
    """One pod. `ready_at` None: it still starts. `draining_since`: it takes nothing new, and goes when it is empty."""

    name: str
    created_at: float
    replica: Replica
    scheduled: bool = True
    ready_at: float | None = None
    draining_since: float | None = None

    @property
    def serves(self) -> bool:
        """Whether the gateway sends requests here."""
        return self.ready_at is not None and self.draining_since is None

    @property
    def outstanding(self) -> int:
        """Requests that wait or run."""
        return self.replica.waiting + self.replica.running


class Fleet:
    """The pods; requests go to the one with the fewest outstanding, and wait at the gateway while none serves."""

    def __init__(self, plan: FleetPlan, replicas: int, now: float) -> None:
        self.plan = plan
        self.now = now
        self.replicas = replicas
        self.pods: list[SimulatedPod] = []
        self.gpu_seconds = 0.0
        self._born = 0
        self._gateway: deque[Request] = deque()
        for _ in range(replicas):
            self._order(now).ready_at = now

    @property
    def unserved(self) -> int:
        """Requests that wait at the gateway or in a pod, or run."""
        return len(self._gateway) + sum(pod.outstanding for pod in self.pods)

    def scale(self, replicas: int) -> None:
        """Ask for so many replicas: pods without a node go first, then those that start, then the youngest."""
        self.replicas = replicas
        kept = [pod for pod in self.pods if pod.draining_since is None]
        kept.sort(key=lambda pod: (not pod.scheduled, pod.ready_at is None, pod.created_at))
        for pod in kept[replicas:]:
            pod.draining_since = self.now
        for _ in range(replicas - len(kept)):
            self._order(self.now)
        self._release()

    def arrive(self, request: Request) -> list[tuple[str, Served]]:
        """Take a request at its time; return what was answered before, with the pod's name."""
        served = self.advance(request.arrived)
        self._gateway.append(request)
        self._dispatch()
        return served

    def advance(self, until: float) -> list[tuple[str, Served]]:
        """Let time pass, from the readiness of one pod to that of the next."""
        served: list[tuple[str, Served]] = []
        for moment in sorted({*self._readiness(until), until}):
            served += [(pod.name, each) for pod in self.pods for each in pod.replica.advance(moment)]
            self.gpu_seconds += (moment - self.now) * self.plan.gpus * sum(pod.scheduled for pod in self.pods)
            self.now = moment
            for pod in self.pods:
                if pod.ready_at is None and pod.scheduled and self._due(pod) <= moment:
                    pod.ready_at = moment
            self._dispatch()
            self._release()
        return served

    def _readiness(self, until: float) -> list[float]:
        starting = (self._due(pod) for pod in self.pods if pod.ready_at is None and pod.scheduled)
        return [moment for moment in starting if self.now < moment < until]

    def _due(self, pod: SimulatedPod) -> float:
        return pod.created_at + self.plan.startup_seconds

    def _order(self, now: float) -> SimulatedPod:
        self._born += 1
        scheduled = sum(pod.scheduled for pod in self.pods) < self.plan.nodes
        pod = SimulatedPod(f"replica-{self._born}", now, Replica(self.plan.model, now), scheduled)
        self.pods.append(pod)
        return pod

    def _dispatch(self) -> None:
        serving = [pod for pod in self.pods if pod.serves]
        while self._gateway and serving:
            min(serving, key=lambda each: each.outstanding).replica.take(self._gateway.popleft())

    def _release(self) -> None:
        """Let go of pods that have drained, and give their nodes to those that wait for one."""
        self.pods = [pod for pod in self.pods if pod.draining_since is None or pod.outstanding]
        for pod in self.pods:
            if not pod.scheduled and sum(each.scheduled for each in self.pods) < self.plan.nodes:
                pod.scheduled, pod.created_at = True, self.now
