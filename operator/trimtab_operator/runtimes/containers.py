"""What the node agent reads from the cgroups of a pod, summed over the pod's containers.

Rows are first reduced by `max` over everything but the container, so that two agents that report one container for a
moment (an agent restart) do not count it twice. A limit has a row only where every container of the pod has one:
otherwise the pod has no limit. A link is full when one of its directions is: the network is the busier of the two.
"""

from __future__ import annotations

from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.rows import BY, ON
from trimtab_operator.runtimes.table import Query

_EACH = "by ($namespace_label, $pod_label, pod_uid, container)"
_CPU = "trimtab_agent_container_cpu_seconds_total"
_MEMORY = "trimtab_agent_container_memory_working_set_bytes"


def _rate(name: str) -> str:
    return f"sum {BY} (max {_EACH} (rate({name}{{$selector}}[$window])))"


def _pod_rate(name: str) -> str:
    return f"sum {BY} (max by ($namespace_label, $pod_label, pod_uid) (rate({name}{{$selector}}[$window])))"


def _gauge(name: str) -> str:
    return f"sum {BY} (max {_EACH} ({name}{{$selector}}))"


def _count(name: str) -> str:
    return f"count {BY} (max {_EACH} ({name}{{$selector}}))"


def _limit(name: str, beside: str) -> str:
    return f"{_gauge(name)} and {ON} ({_count(name)} == {_count(beside)})"


_PERIODS = _rate("trimtab_agent_container_cpu_periods_total")
_THROTTLED = _rate("trimtab_agent_container_cpu_throttled_periods_total")
_RECEIVED = "trimtab_agent_pod_network_receive_bytes_total"
_SENT = "trimtab_agent_pod_network_transmit_bytes_total"
_BUSIER_DIRECTION = f"({_pod_rate(_RECEIVED)} > {_pod_rate(_SENT)}) or {_pod_rate(_SENT)}"

CONTAINER_QUERIES: tuple[Query, ...] = (
    Query(
        Signal.CPU_USED_CORES,
        _rate(_CPU),
        kind="rate",
        unit="cores",
        how="sum",
        needs=(_CPU,),
        source="agent",
    ),
    Query(
        Signal.CPU_LIMIT_CORES,
        _limit("trimtab_agent_container_cpu_limit_cores", _CPU),
        kind="gauge",
        unit="cores",
        how="sum",
        needs=("trimtab_agent_container_cpu_limit_cores", _CPU),
        source="agent",
    ),
    Query(
        Signal.CPU_THROTTLED_RATIO,
        f"{_THROTTLED} / ({_PERIODS} > 0)",
        kind="ratio",
        unit="ratio",
        how="mean",
        needs=("trimtab_agent_container_cpu_throttled_periods_total", "trimtab_agent_container_cpu_periods_total"),
        source="agent",
    ),
    Query(
        Signal.MEMORY_USED_BYTES,
        _gauge(_MEMORY),
        kind="gauge",
        unit="bytes",
        how="sum",
        needs=(_MEMORY,),
        source="agent",
    ),
    Query(
        Signal.MEMORY_LIMIT_BYTES,
        _limit("trimtab_agent_container_memory_limit_bytes", _MEMORY),
        kind="gauge",
        unit="bytes",
        how="sum",
        needs=("trimtab_agent_container_memory_limit_bytes", _MEMORY),
        source="agent",
    ),
    Query(
        Signal.NETWORK_BYTES_PER_SECOND,
        _BUSIER_DIRECTION,
        kind="rate",
        unit="bytes/s",
        how="sum",
        needs=(_RECEIVED, _SENT),
        source="agent",
    ),
)
