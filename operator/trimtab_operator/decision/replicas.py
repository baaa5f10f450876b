"""How many replicas the load needs: the small rule, before any guardrail.

need = the larger of
  ready x utilization / 0.8           (the fullest device would be 0.8 busy), and
  demand / (capacity of one x 0.8)    (a saturated device shows 1 whatever the load; demand does not saturate).
Where the load is known in replicas (runtimes that batch continuously): need = load x headroom, of which the past says
how much it must be. One replica more where a latency guard is violated while the queue is the bottleneck, and one more,
once, where GPU memory is over its limit (memory that does not fall with load must not drive the target to its maximum).
And one more, whatever the load, for a trial that needs it (decision/next_trial.py).
"""

from __future__ import annotations

import math

from trimtab_api.findings import BottleneckKind
from trimtab_api.objectives import ObjectiveName
from trimtab_operator.decision.next_trial import next_trial
from trimtab_operator.decision.proposal import Proposal, Tick
from trimtab_operator.decision.strategy import SurgeWish
from trimtab_operator.decision.surge import SURGE, may_surge
from trimtab_operator.model.analysis import Attainment, Capacity
from trimtab_operator.model.ledger import scaled

TARGET_UTILIZATION = 0.8
DOWN_UTILIZATION = TARGET_UTILIZATION * 0.9
UP_BAND = 1.05
ROUNDING = 1e-9
MOST_REPLICAS = 100_000  # as many as the API can say

_WAITING = (ObjectiveName.LATENCY, ObjectiveName.TIME_TO_FIRST_TOKEN, ObjectiveName.SATISFACTION_RATIO)


def propose(tick: Tick) -> Proposal:
    """Wish for the replicas that the load needs; the present number where its use is not known."""
    current, carried = tick.target.replicas, tick.analysis.capacity
    if carried is None:
        return Proposal(current, current, current, "MetricsUntrusted", "the use of the replicas is not known")
    wanted = need(carried, len(tick.target.ready_pods))
    uncapped = _whole(wanted)
    reason, message = "Utilization", _explain(carried, wanted)
    if _queue_violates(tick) and uncapped <= current:
        uncapped, reason = current + 1, "ObjectiveViolated"
        message = f"requests wait too long for an objective; {message}"
    if _memory_over(tick, carried) and uncapped <= current:
        uncapped, reason = current + 1, "GpuMemory"
        message = f"GPU memory is {carried.memory_pressure_ratio or 0.0:.2f} of its limit; {message}"
    wish = _surge_wish(tick) if uncapped <= current else None
    if wish is not None:
        return Proposal(current, uncapped, current + 1, SURGE, wish.why, carried.evidence)
    return Proposal(current, uncapped, uncapped, reason, message, carried.evidence)


def need(carried: Capacity, ready: int) -> float:
    """Return the replicas, as a fraction, at which the fullest device is 0.8 busy and the demand is met."""
    if carried.load is not None:
        return carried.load.replicas * carried.load.headroom
    by_use = ready * carried.utilization_ratio / TARGET_UTILIZATION
    if carried.demand_rps is None or carried.per_replica_rps is None:
        return by_use
    return max(by_use, carried.demand_rps / (carried.per_replica_rps * TARGET_UTILIZATION))


def needed_at_peak(carried: Capacity, ready: int, utilization: float) -> int | None:
    """Return the fewest replicas that hold the stabilisation time's peak below a utilization; None if not known."""
    if carried.load is not None:
        peak = carried.load.peak_replicas
        return None if peak is None else _whole(peak * carried.load.headroom)
    if carried.utilization_peak_ratio is None:
        return None
    wanted = ready * carried.utilization_peak_ratio / utilization
    if carried.per_replica_rps is not None and carried.demand_rps is not None:
        if carried.demand_peak_rps is None:
            return None
        wanted = max(wanted, carried.demand_peak_rps / (carried.per_replica_rps * utilization))
    return _whole(wanted)


def _whole(wanted: float) -> int:
    return max(1, min(MOST_REPLICAS, math.ceil(wanted - ROUNDING)))


def _explain(carried: Capacity, wanted: float) -> str:
    if carried.load is not None:
        load = carried.load
        return (
            f"the load fills {load.replicas:.2f} replicas of {load.full_sequences:.0f} sequences each, "
            f"and {load.headroom:.2f} times that is to be ready: {wanted:.2f} replicas are needed"
        )
    text = f"{carried.binding} is at {carried.utilization_ratio:.2f} of its limit"
    if carried.demand_rps is not None:
        text += f", demand {carried.demand_rps:.3g} requests/s"
    if carried.per_replica_rps is not None:
        text += f", one replica carries {carried.per_replica_rps:.3g}"
    return f"{text}: {wanted:.2f} replicas are needed at {TARGET_UTILIZATION:g} utilization"


def _surge_wish(tick: Tick) -> SurgeWish | None:
    """Return the wish of the tuner for one replica more."""
    found = next_trial(tick) if may_surge(tick.policy, tick.target.replicas) else None
    return found if isinstance(found, SurgeWish) else None


def _queue_violates(tick: Tick) -> bool:
    found = tick.analysis.bottleneck
    if found is None or found.kind is not BottleneckKind.QUEUE:
        return False
    return any(
        result.name in _WAITING and result.attainment is Attainment.VIOLATED for result in tick.analysis.objectives
    )


def _memory_over(tick: Tick, carried: Capacity) -> bool:
    pressure = carried.memory_pressure_ratio
    return pressure is not None and pressure > 1.0 and not scaled(tick.policy.status, "GpuMemory")
