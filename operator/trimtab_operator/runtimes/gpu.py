"""GPU telemetry of pods, from either of two sources: NVIDIA's dcgm-exporter, or our own node agent.

dcgm: `DCGM_FI_PROF_GR_ENGINE_ACTIVE` where it exists, else `DCGM_FI_DEV_GPU_UTIL` (which is only the share of time in
which some kernel ran). A field that the GPU does not have is printed as 9223372036854775794; no average that contains
one passes the plausible bounds below. Memory is MiB; only its ratio is read. Why clocks are held down is a bitmask
(NVML's): 4 power cap, 8 hardware, 32 and 64 heat, 128 power brake; 1, 2, 16 and 256 are no distress.
agent: the GPU's series carry the agent's own pod; `trimtab_agent_gpu_assigned` says whose GPU it is (joined on uuid,
each side reduced first, so that two agents or a GPU shared by two pods cannot break the join).
The stages of a pipeline are told apart by GPU; there, an older field answers only for pods without the newer one, so
that the GPUs of a pod can be compared.
"""

from __future__ import annotations

from trimtab_operator.model.signals import GpuSource, Signal
from trimtab_operator.runtimes.rows import BY, ON
from trimtab_operator.runtimes.table import Query

_EACH = "by ($namespace_label, $pod_label, UUID, gpu)"
_ASSIGNED = "max by ($namespace_label, $pod_label, uuid, gpu) (trimtab_agent_gpu_assigned{$selector} == 1)"


def _averaged(name: str, below: str) -> str:
    """Mean over the window for each GPU of a pod, without rows that are not below the plausible bound."""
    return f"(max {_EACH} (avg_over_time({name}{{$selector}}[$window])) < {below})"


def _framebuffer(name: str) -> str:
    """MiB for each GPU of a pod; 1e9 MiB is a petabyte."""
    return f"(max {_EACH} ({name}{{$selector}}) < 1e9)"


def _throttled(name: str) -> str:
    """Share of the window in which a bit of distress was set, for each GPU of a pod with samples in the window."""
    bits = f"({name}{{$selector}} < 1e6)"
    held = f"floor({bits} / 4) % 4 + floor({bits} / 32) % 8 > bool 0"
    sampled = f"max {_EACH} (count_over_time({name}{{$selector}}[$window]))"  # a subquery also sees older samples
    return f"((max {_EACH} (avg_over_time(({held})[$window:1s]))) and ({sampled}))"


def _joined(by_uuid: str) -> str:
    """Give the GPUs of the agents' series to the pods that hold them."""
    return f"{_ASSIGNED} * on (uuid) group_left () {by_uuid}"


def _agent_gauge(name: str) -> str:
    return f"max by (uuid) (avg_over_time({name}[$window]))"


_ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
_UTIL = "DCGM_FI_DEV_GPU_UTIL"
_USED = "DCGM_FI_DEV_FB_USED"
_FREE = "DCGM_FI_DEV_FB_FREE"
_POWER = "DCGM_FI_DEV_POWER_USAGE"
_DRAM = "DCGM_FI_PROF_DRAM_ACTIVE"
_TENSOR = "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"
_REASONS = "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"
_OLDER_REASONS = "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"
_A_UTIL = "trimtab_agent_gpu_utilization_ratio"
_A_USED = "trimtab_agent_gpu_memory_used_bytes"
_A_TOTAL = "trimtab_agent_gpu_memory_total_bytes"
_A_POWER = "trimtab_agent_gpu_power_watts"
_A_DRAM = "trimtab_agent_gpu_dram_active_ratio"
_A_TENSOR = "trimtab_agent_gpu_tensor_active_ratio"
_A_THROTTLED = "trimtab_agent_gpu_throttled"
_A_ASSIGNED = "trimtab_agent_gpu_assigned"


def _pipe(signal: Signal, metric: str) -> Query:
    """Return the row of how busy a part of the GPUs is, as dcgm-exporter tells."""
    each = _averaged(metric, "2")
    return Query(
        signal, f"avg {BY} {each}", kind="gauge", unit="ratio", how="mean", needs=(metric,), source="dcgm", by_gpu=each
    )


def _of_two_fields(signal: Signal, over_gpus: str, newer: str, older: str, needs: tuple[str, ...]) -> Query:
    """Return the row of a share that dcgm-exporter tells by a newer or an older field; as `_agent_row` besides."""
    promql = f"{over_gpus} {BY} {newer} or {over_gpus} {BY} {older}"
    each = f"{newer} or {ON} {older}"
    return Query(signal, promql, kind="gauge", unit="ratio", how="mean", needs=needs, source="dcgm", by_gpu=each)


def _agent_row(signal: Signal, over_gpus: str, metric: str) -> Query:
    """Return the row of a share that the node agent tells; `over_gpus` combines the GPUs of a pod."""
    each, needs = _joined(_agent_gauge(metric)), (metric, _A_ASSIGNED)
    promql = f"{over_gpus} {BY} ({each})"
    return Query(signal, promql, kind="gauge", unit="ratio", how="mean", needs=needs, source="agent", by_gpu=each)


_DCGM: tuple[Query, ...] = (
    _of_two_fields(
        Signal.GPU_UTILIZATION_RATIO,
        "avg",
        _averaged(_ACTIVE, "2"),
        f"{_averaged(_UTIL, '200')} / 100",
        needs=(_ACTIVE, _UTIL),
    ),
    Query(
        Signal.GPU_MEMORY_USED_RATIO,
        f"max {BY} ({_framebuffer(_USED)} / ({_framebuffer(_USED)} + {_framebuffer(_FREE)} > 0))",
        kind="ratio",
        unit="ratio",
        how="max",
        needs=(_USED, _FREE),
        source="dcgm",
    ),
    Query(
        Signal.GPU_POWER_WATTS,
        f"sum {BY} {_averaged(_POWER, '1e5')}",
        kind="gauge",
        unit="W",
        how="sum",
        needs=(_POWER,),
        source="dcgm",
    ),
    _pipe(Signal.GPU_DRAM_ACTIVE_RATIO, _DRAM),
    _pipe(Signal.GPU_TENSOR_ACTIVE_RATIO, _TENSOR),
    _of_two_fields(
        Signal.GPU_THROTTLED,
        "max",
        _throttled(_REASONS),
        _throttled(_OLDER_REASONS),
        needs=(_REASONS, _OLDER_REASONS),
    ),
)

_AGENT: tuple[Query, ...] = (
    _agent_row(Signal.GPU_UTILIZATION_RATIO, "avg", _A_UTIL),
    Query(
        Signal.GPU_MEMORY_USED_RATIO,
        f"max {BY} ({_joined(f'(max by (uuid) ({_A_USED}) / (max by (uuid) ({_A_TOTAL}) > 0))')})",
        kind="ratio",
        unit="ratio",
        how="max",
        needs=(_A_USED, _A_TOTAL, _A_ASSIGNED),
        source="agent",
    ),
    Query(
        Signal.GPU_POWER_WATTS,
        f"sum {BY} ({_joined(_agent_gauge(_A_POWER))})",
        kind="gauge",
        unit="W",
        how="sum",
        needs=(_A_POWER, _A_ASSIGNED),
        source="agent",
    ),
    _agent_row(Signal.GPU_DRAM_ACTIVE_RATIO, "avg", _A_DRAM),
    _agent_row(Signal.GPU_TENSOR_ACTIVE_RATIO, "avg", _A_TENSOR),
    _agent_row(Signal.GPU_THROTTLED, "max", _A_THROTTLED),
)

GPU_QUERIES: dict[GpuSource, tuple[Query, ...]] = {"dcgm": _DCGM, "agent": _AGENT, "none": ()}
