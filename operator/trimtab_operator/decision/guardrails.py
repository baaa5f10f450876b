"""What is left of the wish. Each guardrail is a small function; `GUARDRAILS` is the order in which they run.

Bounds run last: they are the user's word, and hold even where nothing is measured.
"""

from __future__ import annotations

from collections.abc import Callable

from trimtab_api.objectives import GUARDS
from trimtab_operator.analysis.constraints import UNSCHEDULABLE_SECONDS
from trimtab_operator.analysis.headroom import start_seconds
from trimtab_operator.decision.next_trial import next_trial
from trimtab_operator.decision.proposal import Proposal, Tick
from trimtab_operator.decision.replicas import DOWN_UTILIZATION, UP_BAND, need, needed_at_peak
from trimtab_operator.decision.strategy import TrialProposal
from trimtab_operator.decision.surge import is_used, standing_surge
from trimtab_operator.model.analysis import Attainment
from trimtab_operator.model.ledger import last_change_at, scaled
from trimtab_operator.model.snapshot import Pod

STARTUP_SECONDS = 600.0  # a pod that is not ready ten minutes after it was made is not starting any more
BROKEN_SHARE = 0.5
BACKOFF_SECONDS = 300.0
LONGEST_BACKOFF_SECONDS = 3600.0
SETTLING_SHARE = 0.1
SAME_DEMAND = 0.85
_TAKEN_BACK = ("Unschedulable", "SurgeTooLate")  # reasons to remove at once what does not serve

Guardrail = Callable[[Proposal, Tick], Proposal]


def trusted(proposal: Proposal, tick: Tick) -> Proposal:
    """Hold on measurements that may not be acted upon."""
    if tick.analysis.trust.trusted:
        return proposal
    return proposal.held("MetricsUntrusted", tick.analysis.trust.message)


def dead_band(proposal: Proposal, tick: Tick) -> Proposal:
    """Ignore a need of less than a twentieth more than the replicas give."""
    carried = tick.analysis.capacity
    if not proposal.up or carried is None or proposal.reason != "Utilization":
        return proposal
    if need(carried, len(tick.target.ready_pods)) > UP_BAND * proposal.current:
        return proposal
    return proposal.held("Steady", f"within the dead band of 5%: {proposal.message}")


def unschedulable(proposal: Proposal, tick: Tick) -> Proposal:
    """Take back replicas that found no node for a minute; ask again, for one, after 5, 10, 20, 40, then 60 minutes."""
    stuck = [pod for pod in tick.target.pods if _stuck(pod, tick.now)]
    if stuck and not tick.target.rolling_out and tick.analysis.trust.trusted:
        schedulable = max(proposal.current - len(stuck), tick.scaling.min_replicas)
        message = f"{len(stuck)} of {proposal.current} replicas found no node: {stuck[0].unschedulable_message}"
        return proposal.limited(min(schedulable, proposal.current), "Unschedulable", message)
    retracted = [
        entry
        for entry in scaled(tick.policy.status, "Unschedulable")
        if tick.now - entry.at.timestamp() < LONGEST_BACKOFF_SECONDS
    ]
    if not proposal.up or not retracted:
        return proposal
    backoff = min(BACKOFF_SECONDS * 2.0 ** (len(retracted) - 1), LONGEST_BACKOFF_SECONDS)
    wait = backoff - (tick.now - retracted[-1].at.timestamp())
    if wait > 0.0:
        return proposal.held("Unschedulable", f"replicas found no node; asking again in {_coarse(wait)}")
    return proposal.limited(proposal.current + 1, proposal.reason, f"one more, to see if it fits: {proposal.message}")


def in_flight(proposal: Proposal, tick: Tick) -> Proposal:
    """Credit replicas that are on their way, and those whose effect is not yet in the measurements.

    A load that is known in replicas does not hang on how many serve it: what is needed beyond them is asked for.

    A pod that lost its readiness under load is no reason to wait, unless half of the replicas are such: then something
    is broken that more replicas do not mend.
    """
    if not proposal.up:
        return proposal
    ready = tick.target.ready_pods
    broken = [pod for pod in tick.target.pods if not pod.ready and not pod.deleting and not _new(pod, tick.now)]
    missing = proposal.current - len(ready)
    carried = tick.analysis.capacity
    absolute = carried is not None and carried.load is not None and proposal.reason == "Utilization"
    if absolute and len(broken) <= BROKEN_SHARE * proposal.current:
        return proposal
    if missing > len(broken) or len(broken) > BROKEN_SHARE * proposal.current:
        return proposal.held("InFlight", f"{missing} of {proposal.current} replicas are not ready")
    settling = [pod for pod in ready if _new(pod, tick.now) and tick.now - _since(pod) < tick.readings_seconds]
    if len(settling) > SETTLING_SHARE * len(ready):
        return proposal.held("InFlight", f"{len(settling)} replicas have just become ready: not measured yet")
    return proposal


def surge_awaited(proposal: Proposal, tick: Tick) -> Proposal:
    """Keep a replica that was added for a trial until that is made; take it back where it does not serve in time."""
    surge = standing_surge(tick.policy.status, tick.target.replicas)
    if surge is None or not proposal.down or proposal.reason in _TAKEN_BACK:
        return proposal
    if tick.policy.status.current_trial is not None or is_used(surge, tick.snapshot.trials):
        return proposal
    limit = max(STARTUP_SECONDS, 2.0 * start_seconds(tick.target))
    if tick.now - surge.at.timestamp() <= limit:
        return proposal.held("SurgeAwaited", f"a replica was added for a trial, which is not made yet: {surge.why}")
    if len(tick.target.ready_pods) == proposal.current:
        return proposal
    message = f"the replica that was added for a trial did not serve within {limit / 60.0:.0f} min"
    return proposal.limited(int(surge.from_), "SurgeTooLate", message)


def calm(proposal: Proposal, tick: Tick) -> Proposal:
    """Remove nothing while anything is unsettled: a rollout, pods on their way, a guard in breach, a recent change."""
    if not proposal.down or proposal.reason in _TAKEN_BACK:
        return proposal
    violated = [
        result.name
        for result in tick.analysis.objectives
        if result.name in GUARDS and result.attainment is Attainment.VIOLATED
    ]
    changed = last_change_at(tick.policy.status)
    rest = 0.0 if changed is None else tick.stabilization_seconds - (tick.now - changed)
    if tick.target.rolling_out:
        return proposal.held("RolloutInProgress", "nothing is removed during a rollout of the target")
    if len(tick.target.ready_pods) < proposal.current:
        return proposal.held("InFlight", "nothing is removed while replicas are not ready")
    if violated:
        return proposal.held("ObjectiveViolated", f"nothing is removed while {violated[0]} is violated")
    if rest > 0.0:
        return proposal.held("Stabilizing", f"replicas changed a short while ago; next look in {_coarse(rest)}")
    return proposal


def trial_running(proposal: Proposal, tick: Tick) -> Proposal:
    """Remove nothing during a trial: a pod that goes is taken from an arm, and the others get its load."""
    trial = tick.policy.status.current_trial
    if not proposal.down or proposal.reason in _TAKEN_BACK:
        return proposal
    if trial is not None:
        return proposal.held("TrialRunning", f"nothing is removed while trial {trial} is under way")
    if isinstance(next_trial(tick), TrialProposal):
        return proposal.held("TrialRunning", "nothing is removed while a trial is about to be made")
    return proposal


def stabilization(proposal: Proposal, tick: Tick) -> Proposal:
    """Remove only what the largest demand of the stabilisation time leaves idle, at nine tenths of the target use."""
    carried = tick.analysis.capacity
    if not proposal.down or proposal.reason in _TAKEN_BACK or carried is None:
        return proposal
    fewest = needed_at_peak(carried, len(tick.target.ready_pods), DOWN_UTILIZATION)
    spec = tick.scaling.stabilization
    if fewest is None:
        return proposal.held("Stabilizing", f"measurements do not cover the last {spec} (scaling.stabilization) yet")
    if fewest >= proposal.current:
        message = f"{fewest} replicas are needed for the largest load of the last {spec} (scaling.stabilization)"
        return proposal.held("Steady" if proposal.uncapped >= proposal.current - 1 else "Stabilizing", message)
    return proposal.limited(max(proposal.desired, fewest), proposal.reason, proposal.message)


def remembered(proposal: Proposal, tick: Tick) -> Proposal:
    """Do not go back to a number that violated an objective at the demand of today."""
    carried = tick.analysis.capacity
    if not proposal.down or proposal.reason in _TAKEN_BACK or carried is None or carried.demand_peak_rps is None:
        return proposal
    for entry in scaled(tick.policy.status, "ObjectiveViolated"):
        demand = float(entry.requests_per_second) if entry.requests_per_second else None
        too_few = int(entry.from_)
        if demand is not None and proposal.desired <= too_few and carried.demand_peak_rps >= SAME_DEMAND * demand:
            message = f"{too_few} replicas violated an objective at {demand:.3g} requests/s"
            fewest = min(proposal.current, too_few + 1)
            proposal = proposal.limited(fewest, "ObjectiveViolated", message)
    return proposal


def step(proposal: Proposal, tick: Tick) -> Proposal:
    """Move at most scaling.maxStep replicas at once."""
    most = tick.scaling.max_step
    desired = max(proposal.current - most, min(proposal.current + most, proposal.desired))
    if desired == proposal.desired:
        return proposal
    return proposal.limited(desired, proposal.reason, f"at most {most} at once (scaling.maxStep): {proposal.message}")


def bounds(proposal: Proposal, tick: Tick) -> Proposal:
    """Stay between scaling.minReplicas and scaling.maxReplicas; a number outside goes to the bound at once."""
    low, high = tick.scaling.min_replicas, tick.scaling.max_replicas
    if proposal.desired < low:
        outside = proposal.current < low
        reason = "BelowMinReplicas" if outside else "AtMinReplicas"
        return proposal.limited(low, reason, f"spec.scaling.minReplicas is {low}: {proposal.message}")
    if proposal.desired > high:
        outside = proposal.current > high
        reason = "AboveMaxReplicas" if outside else "AtMaxReplicas"
        return proposal.limited(high, reason, f"spec.scaling.maxReplicas is {high}: {proposal.message}")
    return proposal


GUARDRAILS: tuple[Guardrail, ...] = (
    trusted,
    dead_band,
    unschedulable,
    in_flight,
    surge_awaited,
    calm,
    trial_running,
    stabilization,
    remembered,
    step,
    bounds,
)


def _stuck(pod: Pod, now: float) -> bool:
    since = pod.unschedulable_since
    return not pod.deleting and since is not None and now - since > UNSCHEDULABLE_SECONDS


def _new(pod: Pod, now: float) -> bool:
    return now - pod.created_at <= STARTUP_SECONDS


def _since(pod: Pod) -> float:
    return pod.created_at if pod.ready_at is None else pod.ready_at


def _coarse(seconds: float) -> str:
    """Write a wait in whole minutes: a text that changes each second would look like news."""
    return f"{max(1, round(seconds / 60.0))} min"
