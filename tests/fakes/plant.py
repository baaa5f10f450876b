"""A simple plant around the pure rooms: replicas that serve, queue and refuse, seen through scrapes, scaled by steps.

A fluid model with optional Poisson noise: each replica serves up to `capacity_rps`; what is offered beyond that waits
in a queue of at most 256 requests for each replica, and is refused when it is full. Waiting and response times follow
the queue. What the operator would keep is kept where it would be: status in the policy, replicas in the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np
from fakes.builders import NOW, a_distribution, a_pod, a_reading, a_target, buckets

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.lookback import lookback_seconds
from trimtab_operator.model.action import Event, Step
from trimtab_operator.model.serialize import record_line
from trimtab_operator.model.signals import Point, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Pod, Snapshot
from trimtab_operator.trial.advance import advance

SCRAPE_SECONDS = 5.0
WINDOW_SCRAPES = 4
QUEUE_LIMIT = 256.0
SERVICE_SECONDS = 0.02
HISTORY_STEP = 3  # scrapes between points of the history


@dataclass
class Scrape:
    at: float
    pods: int
    offered: float
    refused: float
    queue: float
    busy: float
    waiting_seconds: float


@dataclass
class Plant:
    """`load(seconds)` is the offered rate; `schedulable` the replicas that find a node."""

    policy: OptimizationPolicy
    load: Callable[[float], float]
    replicas: int = 1
    capacity_rps: float = 20.0
    startup_seconds: float = 20.0
    schedulable: int = 1000
    crowding_seconds: float = (
        0.0  # waiting below saturation: this times u² / (1 - u), as in a queue with random service
    )
    seed: int | None = None
    blind: Callable[[float], bool] = lambda _: False
    now: float = NOW
    pods: list[Pod] = field(default_factory=list)
    scrapes: list[Scrape] = field(default_factory=list)
    queue: float = 0.0
    born: int = 0
    writes: list[tuple[float, str]] = field(default_factory=list)
    scales: list[tuple[float, int, int]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    record: bool = False
    lines: list[str] = field(default_factory=list)
    points: dict[Signal, list[Point]] = field(default_factory=dict)
    next_tick: float = NOW

    def __post_init__(self) -> None:
        self.random = None if self.seed is None else np.random.default_rng(self.seed)
        for _ in range(self.replicas):
            self._add(ready_at=self.now - 3600.0)
        self.began = self.now

    def _add(self, ready_at: float | None) -> None:
        self.born += 1
        waiting = sum(not pod.ready for pod in self.pods) + sum(pod.ready for pod in self.pods) >= self.schedulable
        self.pods.append(
            a_pod(
                f"chat-{self.born}",
                ready=ready_at is not None,
                ready_at=ready_at,
                created_at=self.now if ready_at is None else ready_at,
                unschedulable_since=self.now if waiting else None,
                unschedulable_message="0/1 nodes are available: 1 Insufficient cpu" if waiting else "",
            )
        )

    def run(self, seconds: float) -> None:
        """Live for a time: scrape every five seconds, tick when the last step asked for it."""
        end = self.now + seconds
        while self.now < end:
            self.now += SCRAPE_SECONDS
            self._start_pods()
            self._serve()
            self._note()
            while self.next_tick <= self.now and len(self.scrapes) > WINDOW_SCRAPES:
                self.tick()

    def _start_pods(self) -> None:
        for index, pod in enumerate(self.pods):
            due = self.now - pod.created_at >= self.startup_seconds
            if not pod.ready and pod.unschedulable_since is None and due:
                self.pods[index] = replace(pod, ready=True, ready_at=self.now)

    def _serve(self) -> None:
        ready = sum(pod.ready for pod in self.pods)
        rate = self.load(self.now - self.began)
        count = rate * SCRAPE_SECONDS
        arrived = float(self.random.poisson(count)) if self.random is not None else count
        room = ready * self.capacity_rps * SCRAPE_SECONDS
        served = min(self.queue + arrived, room)
        waiting = self.queue + arrived - served
        refused = max(0.0, waiting - QUEUE_LIMIT * ready)
        self.queue = waiting - refused
        self.scrapes.append(
            Scrape(
                at=self.now,
                pods=ready,
                offered=(served + refused) / SCRAPE_SECONDS,
                refused=refused / SCRAPE_SECONDS,
                queue=self.queue,
                busy=served / room if room else 0.0,
                waiting_seconds=self.queue / max(1.0, ready * self.capacity_rps) + self._crowding(served, room),
            )
        )

    def _crowding(self, served: float, room: float) -> float:
        used = min(0.95, served / room) if room else 0.0
        return self.crowding_seconds * used * used / (1.0 - used)

    def snapshot(self) -> Snapshot:
        window = self.scrapes[-WINDOW_SCRAPES:]
        target = a_target(self.replicas, pods=tuple(self.pods), resource_version=str(len(self.scales) + 100))
        names = [pod.name for pod in self.pods if pod.ready]
        seconds = WINDOW_SCRAPES * SCRAPE_SECONDS

        def mean(value: Callable[[Scrape], float]) -> float:
            return fmean(map(value, window))

        totals = {
            Signal.REQUESTS_PER_SECOND: mean(lambda each: each.offered),
            Signal.ERRORS_PER_SECOND: mean(lambda each: each.refused),
            Signal.REJECTED_PER_SECOND: mean(lambda each: each.refused),
            Signal.QUEUE_REQUESTS: window[-1].queue,
        }
        share = 1.0 / max(1, len(names))
        per_pod = {signal: value * share for signal, value in totals.items()}
        per_pod[Signal.BUSY_RATIO] = mean(lambda each: each.busy)
        requests = totals[Signal.REQUESTS_PER_SECOND] * share * seconds
        waiting = mean(lambda each: each.waiting_seconds)
        histograms = {
            Signal.LATENCY_SECONDS: buckets(requests, SERVICE_SECONDS + waiting),
            Signal.QUEUE_SECONDS: buckets(requests, max(0.0005, waiting)),
        }
        at = window[-1].at
        readings = {signal: a_reading(signal, dict.fromkeys(names, value), at=at) for signal, value in per_pod.items()}
        distributions = {
            signal: a_distribution(signal, dict.fromkeys(names, value), at=at) for signal, value in histograms.items()
        }
        if self.blind(self.now - self.began):
            lost = {"state": SignalState.ERROR, "by_pod": {}, "at": None, "message": "connection refused"}
            readings = {signal: replace(each, **lost) for signal, each in readings.items()}
            distributions = {signal: replace(each, **lost) for signal, each in distributions.items()}
        return Snapshot(
            now=self.now,
            target=target,
            scrape_interval_seconds=SCRAPE_SECONDS,
            readings=readings,
            distributions=distributions,
            history=self._history(),
        )

    def _note(self) -> None:
        """Add a point to the series, as a range query with steps of fifteen seconds would see it."""
        window = self.scrapes[-WINDOW_SCRAPES:]
        if len(window) < WINDOW_SCRAPES or (self.now - NOW) % (HISTORY_STEP * SCRAPE_SECONDS):
            return
        values = {
            Signal.REQUESTS_PER_SECOND: fmean(each.offered for each in window),
            Signal.ERRORS_PER_SECOND: fmean(each.refused for each in window),
            Signal.BUSY_RATIO: fmean(each.busy for each in window),
            Signal.QUEUE_REQUESTS: window[-1].queue,
        }
        for signal, value in values.items():
            self.points.setdefault(signal, []).append(Point(self.now, value))

    def _history(self) -> dict[Signal, Series]:
        most = int(lookback_seconds(self.policy) // (HISTORY_STEP * SCRAPE_SECONDS)) + 1
        return {
            signal: Series(signal, SignalState.OK, "q", tuple(points[-most:])) for signal, points in self.points.items()
        }

    def tick(self) -> Step:
        """Take one step, as the shell does: act, then write status."""
        snapshot = self.snapshot()
        step = advance(self.policy.status.phase, snapshot, analyze(snapshot, self.policy), self.policy)
        if self.record:
            self.lines.append(record_line(snapshot, self.policy, step))
        assert not (step.status and step.actions), "a step persists an intent or acts, never both"
        for action in step.actions:
            intent = self.policy.status.intent
            assert intent is not None, "no act without an intent in status"
            assert action.intent_id == intent.id
            self.scales.append((self.now - self.began, self.replicas, action.replicas))
            self.scale(action.replicas)
        if step.status is not None:
            self.writes.append((self.now - self.began, str(step.status.get("intent"))))
            self.policy = self.policy.model_copy(update={"status": PolicyStatus.model_validate(step.status)})
        self.events.extend(step.events)
        self.next_tick = self.now + max(step.requeue_seconds, 0.001) if step.requeue_seconds >= 5.0 else self.now
        return step

    def scale(self, replicas: int) -> None:
        """Set the replicas, as ReplicaSets do: pods without a node go first, then the youngest."""
        while len(self.pods) > replicas:
            waiting = next((pod for pod in reversed(self.pods) if pod.unschedulable_since is not None), None)
            self.pods.remove(waiting or self.pods[-1])
        self.replicas = replicas
        while len(self.pods) < replicas:
            self._add(ready_at=None)
