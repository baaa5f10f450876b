"""What would relieve the bottleneck and may not or cannot be done, and who can do it."""

from __future__ import annotations

from trimtab_api.findings import BottleneckKind
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.tunable import has_knobs
from trimtab_operator.model.analysis import Bottleneck, Constraint
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

_NOT_OURS = {
    BottleneckKind.CPU: Constraint(
        "CpuLimitNotWritten",
        "the pods use up their CPU limit, which stands in the pod template: raise resources.limits.cpu there",
    ),
    BottleneckKind.NETWORK: Constraint(
        "BandwidthNotWritten",
        "the pods use up the bandwidth that kubernetes.io/ingress-bandwidth and egress-bandwidth give them: raise it",
    ),
    BottleneckKind.POWER_THROTTLE: Constraint(
        "PowerNotWritten",
        "power or heat holds the clocks of the GPUs down, and no policy sets their power limit: raise it, or cool them",
    ),
}
_OF_ENGINE = (
    BottleneckKind.QUEUE,
    BottleneckKind.COMPUTE,
    BottleneckKind.MEMORY_BANDWIDTH,
    BottleneckKind.KV_CAPACITY,
    BottleneckKind.GPU_MEMORY,
)
"""The kinds that settings of an engine relieve."""


def remedy_constraints(
    found: Bottleneck | None, snapshot: Snapshot, policy: OptimizationPolicy
) -> tuple[Constraint, ...]:
    """Name the remedy of the bottleneck that is forbidden; none where it is not, or where nothing limits."""
    if found is None or isinstance(snapshot.target, TargetProblem):
        return ()
    if found.kind in _NOT_OURS:
        return (_NOT_OURS[found.kind],)
    if found.kind not in _OF_ENGINE or has_knobs(policy, snapshot.target):
        return ()
    message = (
        f"{found.kind} limits, and no setting of runtime {snapshot.target.runtime} that relieves it may be turned "
        "while it runs: only replicas do"
    )
    return (Constraint("EngineNotTunable", message),)
