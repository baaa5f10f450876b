"""A policy on a simulated fleet under a trace: the operator's own pure code, tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.lookback import lookback_seconds, window_seconds
from trimtab_operator.model.action import Scale, Step
from trimtab_operator.model.snapshot import Pod, Snapshot, Target
from trimtab_operator.trial.advance import advance
from trimtab_replay.batching import Request, Served
from trimtab_replay.fleet import UNSCHEDULABLE, Fleet, FleetPlan, SimulatedPod
from trimtab_replay.scrape import Scrapes

EPOCH = 1_800_000_000.0
RUNTIME = "vllm"
SCRAPE_SECONDS = 15.0
AT_ONCE_SECONDS = 5.0  # a step that asks for less than that is to be followed up at once
MOST_STEPS_AT_ONCE = 8


@dataclass(frozen=True)
class Scaling:
    """One change of the replicas, in seconds of the trace, with the reason that the policy's status gave."""

    at: float
    before: int
    after: int
    reason: str


@dataclass
class Played:
    """What came of it. Times are seconds of the trace."""

    served: list[Served] = field(default_factory=list)
    unserved: int = 0
    scalings: list[Scaling] = field(default_factory=list)
    replicas: list[tuple[float, int, int]] = field(default_factory=list)  # at, asked for, serving
    gpu_hours: float = 0.0
    ticks: int = 0
    untrusted_ticks: int = 0


class Play:
    """One run. `policy` names its target and its bounds; what it scales are replicas of `plan`."""

    def __init__(self, policy: OptimizationPolicy, plan: FleetPlan, seed: int = 0, scrape_loss: float = 0.0) -> None:
        scaling = policy.spec.scaling
        self.policy = policy
        self.fleet = Fleet(plan, 1 if scaling is None else max(1, scaling.min_replicas), EPOCH)
        dice = np.random.default_rng(seed)
        lookback = lookback_seconds(policy)
        self.scrapes = Scrapes(SCRAPE_SECONDS, lookback, scrape_loss, dice)
        self.played = Played()
        self._next_scrape = EPOCH + SCRAPE_SECONDS
        self._next_tick = EPOCH + SCRAPE_SECONDS

    def run(self, trace: Sequence[Request]) -> Played:
        """Play the trace, and go on until all is answered or as much time has passed again."""
        for request in trace:
            self._live(EPOCH + request.arrived)
            self._count(
                self.fleet.arrive(
                    Request(request.number, EPOCH + request.arrived, request.prompt_tokens, request.output_tokens)
                )
            )
        end = EPOCH + (trace[-1].arrived if trace else 0.0)
        while self.fleet.unserved and self.fleet.now < end + (end - EPOCH):
            self._live(self.fleet.now + SCRAPE_SECONDS)
        self.played.unserved = self.fleet.unserved
        self.played.gpu_hours = self.fleet.gpu_seconds / 3600.0
        return self.played

    def _live(self, until: float) -> None:
        while (moment := min(self._next_scrape, self._next_tick)) <= until:
            self._count(self.fleet.advance(moment))
            if moment == self._next_scrape:
                self.scrapes.scrape(self.fleet)
                self._next_scrape += SCRAPE_SECONDS
            if moment == self._next_tick:
                self._tick()
        self._count(self.fleet.advance(until))

    def _count(self, served: list[tuple[str, Served]]) -> None:
        self.scrapes.count(served)
        self.played.served += [each for _, each in served]

    def _tick(self) -> None:
        """Take steps as the shell does: act on what is stored, then store what comes next, until it may rest."""
        for _ in range(MOST_STEPS_AT_ONCE):
            step = self._step()
            if step.requeue_seconds >= AT_ONCE_SECONDS:
                break
        self._next_tick = self.fleet.now + max(AT_ONCE_SECONDS, step.requeue_seconds)
        serving = sum(pod.serves for pod in self.fleet.pods)
        self.played.replicas.append((self.fleet.now - EPOCH, self.fleet.replicas, serving))

    def _step(self) -> Step:
        snapshot = self._snapshot()
        analysis = analyze(snapshot, self.policy)
        step = advance(self.policy.status.phase, snapshot, analysis, self.policy)
        self.played.ticks += 1
        self.played.untrusted_ticks += not analysis.trust.trusted
        for action in step.actions:
            if isinstance(action, Scale):
                reason = self.policy.status.intent.reason if self.policy.status.intent else ""
                at = self.fleet.now - EPOCH
                self.played.scalings.append(Scaling(at, self.fleet.replicas, action.replicas, reason))
                self.fleet.scale(action.replicas)
        if step.status is not None:
            status = PolicyStatus.model_validate(step.status)
            self.policy = self.policy.model_copy(update={"status": status})
        return step

    def _snapshot(self) -> Snapshot:
        known = self.policy.status.baseline is not None
        window = window_seconds(self.policy)
        return Snapshot(
            now=self.fleet.now,
            target=self._target(),
            scrape_interval_seconds=SCRAPE_SECONDS,
            readings=self.scrapes.readings(self.fleet),
            distributions=self.scrapes.distributions(self.fleet),
            history=self.scrapes.history(),
            window_distributions={} if known else self.scrapes.distributions(self.fleet, window),
        )

    def _target(self) -> Target:
        reference = self.policy.spec.target_ref
        return Target(
            kind=reference.kind,
            namespace=str(self.policy.metadata.namespace),
            name=reference.name,
            uid="simulated",
            resource_version=str(len(self.played.scalings)),
            generation=1,
            replicas=self.fleet.replicas,
            container="server",
            runtime=RUNTIME,
            template_hash="simulated",
            rolling_out=False,
            pods=tuple(self._pod(each) for each in self.fleet.pods if each.draining_since is None),
        )

    def _pod(self, pod: SimulatedPod) -> Pod:
        return Pod(
            name=pod.name,
            uid=pod.name,
            node="node" if pod.scheduled else None,
            ready=pod.ready_at is not None,
            deleting=False,
            created_at=pod.created_at,
            ready_at=pod.ready_at,
            unschedulable_since=None if pod.scheduled else pod.created_at,
            unschedulable_message="" if pod.scheduled else UNSCHEDULABLE.format(self.fleet.plan.nodes),
            gpus=self.fleet.plan.gpus,
        )
