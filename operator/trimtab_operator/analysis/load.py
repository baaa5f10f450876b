"""Load, money and energy of the target, each None where it was not measured."""

from __future__ import annotations

from collections.abc import Callable

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_decimal
from trimtab_operator.analysis.pods import recent, total, values
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Pod, Snapshot, TargetProblem

MIN_REQUESTS = 20  # fewer requests say nothing about a share of one in twenty


def requests_in_window(snapshot: Snapshot) -> float | None:
    """Count the offered requests behind the readings of this tick."""
    rate = total(snapshot, Signal.REQUESTS_PER_SECOND)
    reading = snapshot.readings.get(Signal.REQUESTS_PER_SECOND)
    return None if rate is None or reading is None else rate * reading.window_seconds


def served_rps(snapshot: Snapshot) -> float | None:
    """Return the recent rate of good answers; answers from the cache are answers."""
    offered = recent(snapshot, Signal.REQUESTS_PER_SECOND)
    if offered is None:
        return None
    return max(0.0, offered - (recent(snapshot, Signal.ERRORS_PER_SECOND) or 0.0))


def cost_per_hour(snapshot: Snapshot, policy: OptimizationPolicy, replicas: float | None = None) -> float | None:
    """Return the price of the target for an hour, in spec.cost.currency.

    Replicas times (GPUs of a pod x perGpuHour + cores of a pod x perCpuHour); cores are the limit, else the request.
    None without prices, without pods to look at, or where a priced resource of a pod is not known.
    """
    cost, target = policy.spec.cost, snapshot.target
    if cost is None or isinstance(target, TargetProblem) or not target.pods:
        return None
    pod = target.pods[0]
    hourly = 0.0
    if cost.per_gpu_hour is not None:
        hourly += pod.gpus * parse_decimal(cost.per_gpu_hour)
    if cost.per_cpu_hour is not None:
        cores = pod.cpu_limit_cores if pod.cpu_limit_cores is not None else pod.cpu_request_cores
        if cores is None:
            return None
        hourly += cores * parse_decimal(cost.per_cpu_hour)
    return hourly * (target.replicas if replicas is None else replicas)


def cost_per_request(snapshot: Snapshot, policy: OptimizationPolicy) -> float | None:
    """Return what one good answer costs now."""
    hourly, served = cost_per_hour(snapshot, policy), served_rps(snapshot)
    if hourly is None or not served:
        return None
    return hourly / 3600.0 / served


def joules_per_request(snapshot: Snapshot) -> float | None:
    """Return the GPU energy of one good answer: watts over good answers per second."""
    watts, served = recent(snapshot, Signal.GPU_POWER_WATTS), served_rps(snapshot)
    if watts is None or not served:
        return None
    return watts / served


def cpu_ratio(snapshot: Snapshot) -> float | None:
    """Return CPU in use over the CPU limit of the pods where both are known; the pod's own limit without an agent."""
    return _used_over_limit(snapshot, Signal.CPU_USED_CORES, Signal.CPU_LIMIT_CORES, lambda pod: pod.cpu_limit_cores)


def memory_ratio(snapshot: Snapshot) -> float | None:
    """Return memory in use over the memory limit, as `cpu_ratio` does."""
    return _used_over_limit(
        snapshot, Signal.MEMORY_USED_BYTES, Signal.MEMORY_LIMIT_BYTES, lambda pod: pod.memory_limit_bytes
    )


def _used_over_limit(
    snapshot: Snapshot, used: Signal, limit: Signal, declared: Callable[[Pod], float | None]
) -> float | None:
    if isinstance(snapshot.target, TargetProblem):
        return None
    limits: dict[str, float] = {}
    measured = values(snapshot, limit)
    for pod in snapshot.target.ready_pods:
        bound = measured.get(pod.name, declared(pod))
        if bound:
            limits[pod.name] = bound
    in_use = {name: value for name, value in values(snapshot, used).items() if name in limits}
    if not in_use:
        return None
    return sum(in_use.values()) / sum(limits[name] for name in in_use)
