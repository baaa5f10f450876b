"""A policy as a controller of a simulated fleet: the operator's own pure code, tick by tick."""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.burn import SHORT_SECONDS
from trimtab_operator.analysis.lookback import lookback_seconds, window_seconds
from trimtab_operator.model.action import Scale, Step
from trimtab_operator.model.snapshot import Pod, Snapshot, Target
from trimtab_operator.trial.advance import advance
from trimtab_replay.fleet import UNSCHEDULABLE, Fleet, FleetPlan, SimulatedPod
from trimtab_replay.run import SCRAPE_SECONDS, Start, Wanted
from trimtab_replay.scrape import Scrapes

RUNTIME = "vllm"
AT_ONCE_SECONDS = 5.0  # a step that asks for less than that is to be followed up at once
MOST_STEPS_AT_ONCE = 8


def start_of(policy: OptimizationPolicy, plan: FleetPlan, seed: int = 0, scrape_loss: float = 0.0) -> Start:
    """Return how a run of this policy begins: with its fewest replicas, and a look as far back as it needs."""
    scaling = policy.spec.scaling
    replicas = 1 if scaling is None else max(1, scaling.min_replicas)
    return Start(plan, replicas, lookback_seconds(policy), seed, scrape_loss)


class PolicyController:
    """Takes steps as the shell does: act on what is stored, then store what comes next, until it may rest."""

    def __init__(self, policy: OptimizationPolicy) -> None:
        self.policy = policy
        self.ticks = 0
        self.untrusted_ticks = 0

    def tick(self, fleet: Fleet, scrapes: Scrapes) -> Wanted:
        """Take steps until one may rest; the replicas are those of the last action."""
        replicas, reason = None, ""
        for _ in range(MOST_STEPS_AT_ONCE):
            intent = self.policy.status.intent
            step = self._step(fleet, scrapes, fleet.replicas if replicas is None else replicas)
            for action in step.actions:
                if isinstance(action, Scale):
                    replicas, reason = action.replicas, "" if intent is None else intent.reason
            if step.requeue_seconds >= AT_ONCE_SECONDS:
                break
        return Wanted(replicas, reason, max(AT_ONCE_SECONDS, step.requeue_seconds))

    def _step(self, fleet: Fleet, scrapes: Scrapes, replicas: int) -> Step:
        snapshot = self._snapshot(fleet, scrapes, replicas)
        analysis = analyze(snapshot, self.policy)
        step = advance(self.policy.status.phase, snapshot, analysis, self.policy)
        self.ticks += 1
        self.untrusted_ticks += not analysis.trust.trusted
        if step.status is not None:
            status = PolicyStatus.model_validate(step.status)
            self.policy = self.policy.model_copy(update={"status": status})
        return step

    def _snapshot(self, fleet: Fleet, scrapes: Scrapes, replicas: int) -> Snapshot:
        known = self.policy.status.baseline is not None
        return Snapshot(
            now=fleet.now,
            target=self._target(fleet, replicas),
            scrape_interval_seconds=SCRAPE_SECONDS,
            readings=scrapes.readings(fleet),
            distributions=scrapes.distributions(fleet),
            history=scrapes.history(),
            five_minutes=scrapes.distributions(fleet, SHORT_SECONDS),
            window_distributions={} if known else scrapes.distributions(fleet, window_seconds(self.policy)),
        )

    def _target(self, fleet: Fleet, replicas: int) -> Target:
        reference = self.policy.spec.target_ref
        return Target(
            kind=reference.kind,
            namespace=str(self.policy.metadata.namespace),
            name=reference.name,
            uid="simulated",
            resource_version=f"{fleet.now:.0f}-{replicas}",
            generation=1,
            replicas=replicas,
            container="server",
            runtime=RUNTIME,
            template_hash="simulated",
            rolling_out=False,
            pods=tuple(_pod(each, fleet.plan) for each in fleet.pods if each.draining_since is None),
        )


def _pod(pod: SimulatedPod, plan: FleetPlan) -> Pod:
    return Pod(
        name=pod.name,
        uid=pod.name,
        node="node" if pod.scheduled else None,
        ready=pod.ready_at is not None,
        deleting=False,
        created_at=pod.created_at,
        ready_at=pod.ready_at,
        unschedulable_since=None if pod.scheduled else pod.created_at,
        unschedulable_message="" if pod.scheduled else UNSCHEDULABLE.format(plan.nodes),
        gpus=plan.gpus,
    )
