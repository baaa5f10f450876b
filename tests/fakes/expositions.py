"""Snapshots of one pod that shows the values of a real exposition, and whatever a test says differently."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from fakes.builders import NOW, a_distribution, a_gpu_reading, a_pod, a_reading, a_target

from trimtab_operator.model.signals import Buckets, Distribution, Point, Reading, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot

VALUES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "data" / "exposition_values.json").read_text()
)
POD = "chat-0"
CPU_LIMIT_CORES = 8.0
NETWORK_LIMIT = 1.25e9  # 10 Gbit/s
SHORT = {
    "kv": Signal.KV_CACHE_USED_RATIO,
    "waiting": Signal.QUEUE_REQUESTS,
    "running": Signal.RUNNING_REQUESTS,
    "gpu": Signal.GPU_UTILIZATION_RATIO,
    "memory": Signal.GPU_MEMORY_USED_RATIO,
    "dram": Signal.GPU_DRAM_ACTIVE_RATIO,
    "tensor": Signal.GPU_TENSOR_ACTIVE_RATIO,
    "held": Signal.GPU_THROTTLED,
    "cpu": Signal.CPU_USED_CORES,
    "throttled": Signal.CPU_THROTTLED_RATIO,
    "network": Signal.NETWORK_BYTES_PER_SECOND,
    "refused": Signal.REJECTED_PER_SECOND,
}
"""Short names for tables. `cpu` is a share of the limit, `network` of the declared bandwidth, `refused` of offers."""


def exposed(name: str, *, gpus: int = 1, declared: bool = True, **changed: float) -> Snapshot:
    """Show a pod with the values of an exposition; `changed` adds to them or replaces them, by short name."""
    values = VALUES[name]
    readings = _readings(values)
    rate = values["requests"] / values["window_seconds"]
    scale = {"cpu": CPU_LIMIT_CORES, "network": NETWORK_LIMIT, "refused": rate}
    for short, value in changed.items():
        readings[SHORT[short]] = a_reading(SHORT[short], {POD: value * scale.get(short, 1.0)})
    limit = NETWORK_LIMIT if declared else None
    pod = a_pod(POD, gpus=gpus, cpu_limit_cores=CPU_LIMIT_CORES, network_limit_bytes_per_second=limit)
    waiting = readings[Signal.QUEUE_REQUESTS].by_pod[POD]
    points = tuple(Point(NOW - 15.0 * number, waiting) for number in range(8, -1, -1))
    return Snapshot(
        now=NOW,
        target=a_target(pods=(pod,), replicas=1, runtime=values["runtime"]),
        scrape_interval_seconds=15.0,
        gpu_source="dcgm" if gpus else "none",
        readings=readings,
        distributions=_distributions(values),
        history={Signal.QUEUE_REQUESTS: Series(Signal.QUEUE_REQUESTS, SignalState.OK, "", points)},
    )


def over_gpus(name: str, by_gpu: Mapping[str, tuple[float, ...]], **changed: float) -> Snapshot:
    """Show such a pod over several GPUs: what each of them does, and their mean (of `held`, the largest)."""
    combined = {short: max(each) if short == "held" else fmean(each) for short, each in by_gpu.items()}
    whole = exposed(name, gpus=max(map(len, by_gpu.values())), **changed, **combined)
    return replace(whole, gpus={SHORT[short]: a_gpu_reading(SHORT[short], {POD: by_gpu[short]}) for short in by_gpu})


def _readings(values: dict[str, Any]) -> dict[Signal, Reading]:
    seconds = values["window_seconds"]
    rates = {
        Signal.REQUESTS_PER_SECOND: "requests",
        Signal.REJECTED_PER_SECOND: "rejected",
        Signal.PROMPT_TOKENS_PER_SECOND: "prompt_tokens",
        Signal.GENERATED_TOKENS_PER_SECOND: "generated_tokens",
    }
    gauges = (Signal.RUNNING_REQUESTS, Signal.QUEUE_REQUESTS, Signal.KV_CACHE_USED_RATIO)
    found = {signal: values[key] / seconds for signal, key in rates.items() if key in values}
    found |= {signal: values[signal.value] for signal in gauges if signal.value in values}
    return {signal: a_reading(signal, {POD: value}, window_seconds=seconds) for signal, value in found.items()}


def _distributions(values: dict[str, Any]) -> dict[Signal, Distribution]:
    bounds = (*values["bounds_seconds"], math.inf)
    return {
        signal: a_distribution(signal, {POD: Buckets(bounds, (*values[key], values[key][-1]))})
        for signal, key in ((Signal.LATENCY_SECONDS, "latency"), (Signal.QUEUE_SECONDS, "queue"))
        if key in values
    }
