"""Keeping a published number still while nothing acts on it.

Where replicas follow, a number that was wished once becomes the state of the world, and the dead band holds it. Where
nobody acts (Recommend, a conflict), the world stays, and noise around a border would publish 2, 3, 2, 3. So the number
in status stands as long as it carries the load and the peak of the stabilisation time would not let it go.
"""

from __future__ import annotations

from trimtab_operator.decision.proposal import Proposal, Tick
from trimtab_operator.decision.replicas import DOWN_UTILIZATION, UP_BAND, need, needed_at_peak


def settle(proposal: Proposal, tick: Tick) -> Proposal:
    """Return the proposal with the number that stands in status, where that is still as good as the new one."""
    standing, carried = tick.policy.status.replicas, tick.analysis.capacity
    if standing is None or standing.desired is None or carried is None or not tick.analysis.trust.trusted:
        return proposal
    number = standing.desired
    if not tick.scaling.min_replicas <= number <= tick.scaling.max_replicas or number == proposal.desired:
        return proposal
    ready = len(tick.target.ready_pods)
    enough = need(carried, ready) <= UP_BAND * number and proposal.reason not in ("ObjectiveViolated", "GpuMemory")
    fewest = needed_at_peak(carried, ready, DOWN_UTILIZATION)
    if enough and (fewest is None or number <= fewest or proposal.desired > number):
        return proposal.limited(number, proposal.reason, proposal.message)
    return proposal
