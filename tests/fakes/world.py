"""The operator's loop on fakes: one clock, one API server in memory, one scripted Prometheus, the real rooms between.

Time jumps from tick to tick. The fake's Deployment controller settles after each tick, so pods follow replicas.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fakes.clock import FakeClock
from fakes.fleet import Fleet
from fakes.kube import FakeKube, deployment, mode_configmap, policy
from fakes.prometheus import FakePrometheus

from trimtab_operator.actuation.board import TuningBoard
from trimtab_operator.actuation.events import EventLedger
from trimtab_operator.actuation.execute import Hands
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.actuation.node_tuning import NodeTuner
from trimtab_operator.controllers.cache import PolicyCache, PolicyKey
from trimtab_operator.controllers.nodes import NodeWorker
from trimtab_operator.controllers.queue import KeyedQueue
from trimtab_operator.controllers.recording import Recording
from trimtab_operator.controllers.ticks import Ticks
from trimtab_operator.controllers.world import World
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.kube.resources import CONFIG_MAPS, DEPLOYMENTS, NODES, POLICIES
from trimtab_operator.model.signals import Signal
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feeds
from trimtab_operator.observation.observe import Eyes
from trimtab_operator.observation.target import TargetReader
from trimtab_operator.telemetry import Telemetry

NAMESPACE = "prod"
SYSTEM = "trimtab-system"


@dataclass
class Load:
    """Demand that pods share; one pod carries `capacity` requests per second.

    `input_tokens` is how long an input is; None where no engine tells.
    """

    requests_per_second: float = 4.0
    capacity: float = 10.0
    input_tokens: float | None = None


class Moment(NamedTuple):
    """What Prometheus saw from a time (unix seconds) on."""

    at: float
    requests_per_second: float
    input_tokens: float | None
    pods: int


@dataclass
class Stage:
    """Everything that a loop test touches; `room` is how many pods find a node, where that is limited."""

    load: Load = field(default_factory=Load)
    interval_seconds: float = 15.0
    settles: bool = True
    room: int | None = None
    outcomes: Counter[str] = field(default_factory=Counter)
    recording: Recording | None = None

    def __post_init__(self) -> None:
        self.past: list[Moment] = []
        self.clock = FakeClock(1_700_000_000.0)
        self.gate = WriteGate(self.clock)
        self.gate.open_until(float("inf"))
        self.kube = FakeKube(gate=self.gate, now=self.clock.now())
        self.kube.seed(CONFIG_MAPS, mode_configmap(SYSTEM, "Apply"))
        self.kube.seed(NODES, {"metadata": {"name": "node"}})
        self.fleet = Fleet(self.kube)
        self.prometheus = FakePrometheus(self._pods, values=self._signals(), histograms=self._histograms())
        self.start()

    def start(self) -> None:
        """A new process: every cache is empty, what is stored stays."""
        telemetry = Telemetry(self.clock)
        self.queue: KeyedQueue[PolicyKey] = KeyedQueue(self.clock)
        self.cache = PolicyCache(self.queue.add)
        batch = Batch(self.prometheus, self.cache.namespaces)
        switch = ModeSwitch(self.kube, self.clock, SYSTEM, "trimtab-mode")
        feeds = Feeds(batch, None, None, None)
        eyes = Eyes(self.kube, batch, feeds, TargetReader(self.kube), switch, self.cache.bodies)
        events = EventLedger(self.kube, self.clock, "operator-1")
        self.nodes: KeyedQueue[str] = KeyedQueue(self.clock)
        hands = Hands(self.kube, switch, TuningBoard(self.nodes.add, self.cache.all_keys), FailPoint())
        self.node_worker = NodeWorker(NodeTuner(hands, lambda: "authority"), self.nodes, telemetry)
        self.world = World(self.clock, self.kube, eyes, events, hands, telemetry, self.recording)
        self.ticks = Ticks(self.world, self.cache, self.queue)
        self.cache.replace_all(self.kube.all(POLICIES))

    def allow(self, mode: str) -> None:
        """The cluster's mode switch: Apply or Recommend."""
        self.kube.edit(CONFIG_MAPS, SYSTEM, "trimtab-mode", {"data": {"maxMode": mode}})

    def change_template(self, image: str = "new") -> None:
        """Somebody changes the pods of the target."""
        template = {"metadata": {"annotations": {"image": image}}}
        self.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"template": template}})

    def deploy(
        self, name: str = "llama", *, replicas: int | None = None, attached: bool = False, **settings: Any
    ) -> None:
        """A Deployment whose manifest carries no replicas, unless asked for, with its pods serving for an hour."""
        self.kube.now = self.clock.now() - 3600
        self.kube.seed(DEPLOYMENTS, deployment(NAMESPACE, name, replicas=replicas, attached=attached), **settings)
        self.kube.settle(NAMESPACE, name)
        self.kube.now = self.clock.now()

    def apply_policy(self, name: str = "tune", target: str = "llama", **spec: Any) -> None:
        """A person's kubectl apply of a policy, seen by the watch."""
        spec.setdefault("mode", "Apply")
        spec.setdefault("scaling", {"minReplicas": 1, "maxReplicas": 8, "stabilization": "2m"})
        spec.setdefault("observation", {"interval": "15s", "window": "5m"})
        spec.setdefault("trial", {"window": "5m"})
        self.cache.put(self.kube.seed(POLICIES, policy(NAMESPACE, name, target, **spec)))

    async def run(self, seconds: float) -> None:
        """Every tick that falls due within the next `seconds`."""
        end = self.clock.monotonic() + seconds
        while (due := self.queue.next_due) is not None and due <= end:
            await self.tick(due)
        self.clock.tick(max(0.0, end - self.clock.monotonic()))
        self.kube.now = self.clock.now()

    async def tick(self, due: float) -> None:
        """The one tick that falls due then, on the monotonic clock."""
        self._remember()
        self.clock.tick(max(0.0, due - self.clock.monotonic()))
        self.kube.now = self.clock.now()
        key = await self.queue.get()
        self.outcomes[await self.ticks.run(key)] += 1
        await self._tune_nodes()
        if self.settles:
            self._settle()
        self._remember()

    async def _tune_nodes(self) -> None:
        """The node queue at work."""
        while (due := self.nodes.next_due) is not None and due <= self.clock.monotonic():
            self.outcomes[await self.node_worker.once(await self.nodes.get())] += 1
        self.fleet.answer()

    def _settle(self) -> None:
        for namespace, name in self.kube.names(DEPLOYMENTS):
            self.kube.settle(namespace, name, room=self.room)

    def status(self, name: str = "tune") -> dict[str, Any]:
        found: dict[str, Any] = self.kube.stored(POLICIES, NAMESPACE, name).get("status") or {}
        return found

    def condition(self, kind: str, name: str = "tune") -> tuple[str, str]:
        row = next(row for row in self.status(name)["conditions"] if row["type"] == kind)
        return row["status"], row["reason"]

    def replicas(self, name: str = "llama") -> int:
        return int(self.kube.stored(DEPLOYMENTS, NAMESPACE, name)["spec"]["replicas"])

    def scalings(self) -> list[tuple[str, str, str]]:
        return [write for write in self.kube.writes if write[1] == "Deployment/scale"]

    # What Prometheus says

    def _pods(self) -> list[tuple[str, str]]:
        return self.kube.placed_pods()

    def _remember(self) -> None:
        """Load and pods from now on: Prometheus does not rewrite the past when they change."""
        seen = (self.load.requests_per_second, self.load.input_tokens, len(self._pods()))
        if not self.past or self.past[-1][1:] != seen:
            self.past.append(Moment(self.clock.now(), *seen))

    def _moment(self, at: float) -> Moment:
        if not self.past:
            self._remember()
        return self.past[max(0, bisect(self.past, at, key=lambda moment: moment.at) - 1)]

    def _share(self, at: float) -> float:
        moment = self._moment(at)
        return moment.requests_per_second / max(1, moment.pods)

    def _busy(self, at: float) -> float:
        return min(1.0, self._share(at) / self.load.capacity)

    def _queue(self, at: float) -> float:
        return max(0.0, (self._share(at) - self.load.capacity) * 10)

    def _signals(self) -> dict[Signal, Any]:
        return {
            Signal.REQUESTS_PER_SECOND: self._share,
            Signal.ERRORS_PER_SECOND: 0.0,
            Signal.REJECTED_PER_SECOND: 0.0,
            Signal.QUEUE_REQUESTS: self._queue,
            Signal.RUNNING_REQUESTS: 1.0,
            Signal.BUSY_RATIO: self._busy,
            Signal.BATCH_SIZE: 2.0,
            Signal.INPUT_TOKENS: lambda at: self._moment(at).input_tokens,
            Signal.CPU_USED_CORES: self._busy,
            Signal.CPU_LIMIT_CORES: 1.0,
            Signal.CPU_THROTTLED_RATIO: 0.0,
            Signal.MEMORY_USED_BYTES: 3e8,
            Signal.MEMORY_LIMIT_BYTES: 2.0**30,
            Signal.NETWORK_BYTES_PER_SECOND: 1e4,
        }

    def _histograms(self) -> dict[Signal, Any]:
        def latency(at: float) -> dict[str, float]:
            count = self._share(at) * 60
            slow = 0.5 if self._share(at) > self.load.capacity else 0.01
            return {"0.05": count * (1 - slow) / 2, "0.1": count * (1 - slow), "1.0": count, "+Inf": count}

        return dict.fromkeys((Signal.LATENCY_SECONDS, Signal.QUEUE_SECONDS, Signal.SERVICE_SECONDS), latency)
