"""A simulated Deployment behind a gateway: pods that are ordered, start, serve, drain and go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trimtab_replay import batches, batching
from trimtab_replay.answers import Answers, answers
from trimtab_replay.serving import ServingModel
from trimtab_replay.trace import Trace

UNSCHEDULABLE = "0/{} nodes are available: insufficient nvidia.com/gpu"
FIRST_ROWS = 16


@dataclass(frozen=True)
class FleetPlan:
    """What a pod is, how long it takes from its order until it serves, and how many find a node."""

    model: ServingModel
    startup_seconds: float = 120.0
    gpus: int = 1
    nodes: int = 1000


@dataclass
class SimulatedPod:
    """One pod. `ready_at` None: it still starts. `draining_since`: it takes nothing new, and goes when it is empty.

    Its batch is row `row` of the fleet's arrays.
    """

    name: str
    row: int
    created_at: float
    scheduled: bool = True
    ready_at: float | None = None
    draining_since: float | None = None

    @property
    def serves(self) -> bool:
        """Whether the gateway sends requests here."""
        return self.ready_at is not None and self.draining_since is None


class Fleet:
    """The pods under a trace; requests go where the fewest are, and wait at the gateway while no pod serves."""

    def __init__(self, plan: FleetPlan, replicas: int, trace: Trace, epoch: float = 0.0) -> None:
        self.plan = plan
        self.now = epoch
        self.replicas = replicas
        self.pods: list[SimulatedPod] = []
        self.gpu_seconds = 0.0
        requests = batches.requests(epoch + trace.arrived, trace.prompt_tokens, trace.output_tokens)
        self._batches = batches.batches(plan.model, requests, FIRST_ROWS)
        self._born = 0
        for _ in range(replicas):
            pod = self._order(epoch)
            pod.created_at, pod.ready_at = epoch - plan.startup_seconds, epoch

    @property
    def rows(self) -> int:
        """How many rows of pods there may be."""
        return len(self._batches.pods.now)

    @property
    def gateway_waiting(self) -> int:
        """Requests that wait for a pod."""
        return int(self._batches.progress.next_request[0] - self._batches.progress.dispatched[0])

    @property
    def arrived(self) -> int:
        """Requests that came so far."""
        return int(self._batches.progress.next_request[0])

    @property
    def ended(self) -> int:
        """Requests that were answered so far."""
        return int(self._batches.progress.ended[0])

    @property
    def unserved(self) -> int:
        """Requests that came, and wait or run."""
        return self.arrived - self.ended

    def answers(self, first: int = 0) -> Answers:
        """Return what was answered, from so many answers on; within one step of time they stand pod by pod."""
        return answers(self._batches.requests, self._batches.requests.ended[first : self.ended])

    def prompt_tokens(self, first: int, last: int) -> float:
        """Return the tokens of the prompts from one arrival up to another."""
        return float(self._batches.requests.prompt_tokens[first:last].sum())

    def waiting(self, pod: SimulatedPod) -> int:
        """Return the requests in a pod's queue."""
        return int(self._batches.pods.waiting[pod.row])

    def running(self, pod: SimulatedPod) -> int:
        """Return the requests of a pod that are read or decoded."""
        return self.outstanding(pod) - self.waiting(pod)

    def kv_tokens(self, pod: SimulatedPod) -> float:
        """Return the tokens that a pod's KV cache holds."""
        return float(self._batches.pods.kv_tokens[pod.row])

    def kv_ratio(self, pod: SimulatedPod) -> float:
        """Return the share of a pod's KV cache that is taken."""
        return self.kv_tokens(pod) / self.plan.model.kv_tokens

    def outstanding(self, pod: SimulatedPod) -> int:
        """Return the requests of a pod that wait or run."""
        return int(self._batches.pods.outstanding[pod.row])

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

    def advance(self, until: float) -> None:
        """Let time pass, from the readiness of one pod to that of the next."""
        for moment in sorted({*self._readiness(until), until}):
            self._play(moment)
            self.gpu_seconds += (moment - self.now) * self.plan.gpus * sum(pod.scheduled for pod in self.pods)
            self.now = moment
            for pod in self.pods:
                if pod.ready_at is None and pod.scheduled and self._due(pod) <= moment:
                    pod.ready_at = moment
            self._release()
        if self.gateway_waiting:
            self._play(until)

    def _play(self, until: float) -> None:
        alive = np.array([pod.row for pod in self.pods], np.int64)
        serving = np.array([pod.row for pod in self.pods if pod.serves], np.int64)
        batching.play(self._batches, alive, serving, until)

    def _readiness(self, until: float) -> list[float]:
        starting = (self._due(pod) for pod in self.pods if pod.ready_at is None and pod.scheduled)
        return [moment for moment in starting if self.now < moment < until]

    def _due(self, pod: SimulatedPod) -> float:
        return pod.created_at + self.plan.startup_seconds

    def _order(self, now: float) -> SimulatedPod:
        if self._born == self.rows:
            self._batches = batches.grown(self._batches)
        scheduled = sum(pod.scheduled for pod in self.pods) < self.plan.nodes
        pod = SimulatedPod(f"replica-{self._born + 1}", self._born, now, scheduled)
        self._batches.pods.now[pod.row] = now
        self._born += 1
        self.pods.append(pod)
        return pod

    def _release(self) -> None:
        """Let go of pods that have drained, and give their nodes to those that wait for one."""
        self.pods = [pod for pod in self.pods if pod.draining_since is None or self.outstanding(pod)]
        for pod in self.pods:
            if not pod.scheduled and sum(each.scheduled for each in self.pods) < self.plan.nodes:
                pod.scheduled, pod.created_at = True, self.now
