"""Load, money and energy of the target, each None where it was not measured."""

from __future__ import annotations

from collections.abc import Callable

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.quantities import parse_decimal
from trimtab_operator.analysis.pods import recent, serving, total, values
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Pod, Snapshot, TargetProblem

MIN_REQUESTS = 20  # fewer requests say nothing about a share of one in twenty


def requests_in_window(snapshot: Snapshot) -> float | None:
    """Count the offered requests behind the readings of this tick."""
    rate = total(snapshot, Signal.REQUESTS_PER_SECOND)
    reading = snapshot.readings.get(Signal.REQUESTS_PER_SECOND)
    return None if rate is None or reading is None else max(0.0, rate * reading.window_seconds)


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


def cpu_limits(snapshot: Snapshot) -> dict[str, float]:
    """Return the CPU limit in cores of each serving pod that has one; the pod's own where no agent tells."""
    return _limits(snapshot, Signal.CPU_LIMIT_CORES, lambda pod: pod.cpu_limit_cores)


def cpu_ratio(snapshot: Snapshot) -> float | None:
    """Return CPU in use over the CPU limit of the pods where both are known."""
    return _used_over(values(snapshot, Signal.CPU_USED_CORES), cpu_limits(snapshot))


def memory_ratio(snapshot: Snapshot) -> float | None:
    """Return memory in use over the memory limit, as `cpu_ratio` does."""
    limits = _limits(snapshot, Signal.MEMORY_LIMIT_BYTES, lambda pod: pod.memory_limit_bytes)
    return _used_over(values(snapshot, Signal.MEMORY_USED_BYTES), limits)


def _limits(snapshot: Snapshot, limit: Signal, declared: Callable[[Pod], float | None]) -> dict[str, float]:
    measured = values(snapshot, limit)
    known = {pod.name: measured.get(pod.name, declared(pod)) for pod in serving(snapshot)}
    return {name: bound for name, bound in known.items() if bound}


def _used_over(used: dict[str, float], limits: dict[str, float]) -> float | None:
    known = used.keys() & limits.keys()
    if not known:
        return None
    return sum(used[name] for name in known) / sum(limits[name] for name in known)
