"""What limits, case by case: readings on the left, what must be named on the right.

The first tables start from values of real expositions (`fakes.expositions`), the last from a server of our own engine.
`held` is the share of time in which power or heat holds the clocks down; `cpu` and `network` are shares of limits.
"""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import a_pod, a_reading, a_series, a_snapshot, a_target
from fakes.expositions import SHORT, VALUES, exposed, over_gpus
from fakes.limiting import named

from trimtab_api.findings import BottleneckKind as Kind
from trimtab_operator.model.analysis import Bottleneck
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

QUEUE, COMPUTE, BANDWIDTH, KV = Kind.QUEUE, Kind.COMPUTE, Kind.MEMORY_BANDWIDTH, Kind.KV_CAPACITY
MEMORY, CPU, NETWORK, POWER = Kind.GPU_MEMORY, Kind.CPU, Kind.NETWORK, Kind.POWER_THROTTLE
UNDERUSED, NONE = Kind.UNDERUSED, Kind.NONE
BLANK = VALUES["dcgm-readme"]["blank"]
OWN_LIMIT: dict[str, Any] = {"objectives": {"gpuMemoryRatio": {"max": "0.95"}}}
Case = tuple[str, dict[str, float], Kind, Kind | None]

# vLLM 0.33.0: 37 run, 4 wait, 5 requests/s of 602 tokens in and 201 out, KV cache .81 full; its loop keeps a GPU active
ACTIVE = {"gpu": 0.9}
VLLM: list[Case] = [
    ("as-exposed", {}, KV, QUEUE),
    ("kv-nearly-full", {"kv": 0.97}, KV, QUEUE),
    ("kv-full-and-the-gpu-half-used", {"kv": 0.97, "dram": 0.35, "tensor": 0.15}, KV, QUEUE),
    ("kv-full-and-the-gpu-active-all-the-time", {"kv": 0.97, "gpu": 1.0, "dram": 0.35, "tensor": 0.15}, KV, QUEUE),
    ("kv-full-and-memory-saturated", {"kv": 0.97, "dram": 0.79, "tensor": 0.15}, BANDWIDTH, KV),
    ("kv-full-and-tensor-pipes-saturated", {"kv": 0.97, "dram": 0.2, "tensor": 0.75}, COMPUTE, KV),
    ("kv-full-and-clocks-held-at-full-pipes", {"kv": 0.97, "dram": 0.2, "tensor": 0.75, "held": 1.0}, POWER, KV),
    ("kv-full-and-clocks-held-at-idle-pipes", {"kv": 0.97, "dram": 0.3, "tensor": 0.2, "held": 1.0}, KV, QUEUE),
    ("kv-full-and-memory-busy-at-held-clocks", {"kv": 0.97, "dram": 0.7, "tensor": 0.45, "held": 1.0}, KV, QUEUE),
    ("kv-full-and-long-caches-read-at-held-clocks",
     {"kv": 0.97, "running": 300, "dram": 0.78, "tensor": 0.15, "held": 1.0}, BANDWIDTH, KV),
    ("slots-taken-while-the-gpu-is-half-used", {"kv": 0.3, "waiting": 60, "dram": 0.3, "tensor": 0.2}, QUEUE, None),
    ("slots-taken-while-only-weights-are-read",
     {"kv": 0.1, "running": 8, "waiting": 60, "dram": 0.7, "tensor": 0.05}, QUEUE, BANDWIDTH),
    ("long-caches-are-read-while-requests-wait",
     {"kv": 0.6, "running": 300, "waiting": 60, "dram": 0.78, "tensor": 0.1}, BANDWIDTH, QUEUE),
    ("prefill-saturates-while-requests-wait", {"kv": 0.3, "waiting": 60, "dram": 0.2, "tensor": 0.7}, COMPUTE, QUEUE),
    ("memory-saturated-and-nothing-waits", {"kv": 0.5, "waiting": 0, "dram": 0.75, "tensor": 0.2}, BANDWIDTH, KV),
    ("tensor-pipes-saturated-and-nothing-waits", {"kv": 0.3, "waiting": 0, "dram": 0.2, "tensor": 0.75}, COMPUTE, None),
    ("ridge-memory-is-the-longer",
     {"kv": 0.5, "waiting": 8, "running": 200, "dram": 0.75, "tensor": 0.5}, BANDWIDTH, QUEUE),
    ("ridge-arithmetic-is-the-longer", {"kv": 0.5, "waiting": 8, "dram": 0.45, "tensor": 0.75}, COMPUTE, BANDWIDTH),
    ("clocks-held-a-little-do-not-make-it-power",
     {"kv": 0.3, "waiting": 0, "dram": 0.2, "tensor": 0.75, "held": 0.2}, COMPUTE, None),
    ("clocks-held-and-memory-saturated",
     {"kv": 0.5, "waiting": 0, "dram": 0.78, "tensor": 0.2, "held": 1.0}, BANDWIDTH, KV),
    ("clocks-held-and-pipes-saturated", {"kv": 0.3, "waiting": 0, "dram": 0.2, "tensor": 0.75, "held": 1.0},
     POWER, None),
    ("clocks-held-at-a-busy-gpu-without-profiling", {"kv": 0.3, "waiting": 0, "gpu": 0.95, "held": 1.0}, POWER, None),
    ("busy-without-profiling", {"kv": 0.3, "waiting": 0, "gpu": 0.95}, COMPUTE, None),
    ("busy-with-blank-profiling-fields", {"kv": 0.3, "waiting": 0, "gpu": 0.95, "dram": BLANK}, COMPUTE, None),
    ("always-active-decode-loop-that-does-little",
     {"kv": 0.4, "waiting": 0, "gpu": 1.0, "dram": 0.3, "tensor": 0.1}, NONE, KV),
    ("front-starves-the-engine", {"kv": 0.2, "waiting": 0, "cpu": 0.99, "dram": 0.3, "tensor": 0.1}, CPU, None),
    ("front-is-throttled",
     {"kv": 0.2, "waiting": 0, "cpu": 0.65, "throttled": 0.4, "dram": 0.3, "tensor": 0.1}, CPU, None),
    ("throttled-in-bursts-with-cpu-to-spare",
     {"kv": 0.5, "waiting": 0, "cpu": 0.3, "throttled": 0.4, "dram": 0.3, "tensor": 0.1}, NONE, KV),
    ("front-is-full-but-the-engine-has-a-long-queue",
     {"kv": 0.3, "waiting": 60, "cpu": 0.93, "dram": 0.3, "tensor": 0.2}, QUEUE, CPU),
    ("link-is-full", {"kv": 0.2, "waiting": 0, "network": 0.97, "dram": 0.3, "tensor": 0.1}, NETWORK, None),
    ("link-is-full-and-so-is-the-front", {"kv": 0.2, "waiting": 0, "network": 0.99, "cpu": 0.9}, NETWORK, CPU),
    ("one-request-in-fifty-refused",
     {"kv": 0.3, "waiting": 2, "refused": 0.02, "dram": 0.3, "tensor": 0.2}, QUEUE, None),
    ("little-used", {"kv": 0.05, "running": 1, "waiting": 0, "gpu": 0.2, "dram": 0.1, "tensor": 0.05}, UNDERUSED, None),
    ("memory-that-vllm-took-at-its-start",
     {"kv": 0.5, "waiting": 0, "memory": 0.97, "dram": 0.3, "tensor": 0.1}, NONE, KV),
]  # fmt: skip

# vLLM 0.32.0 on a CPU: one request ever, nothing runs
VLLM_CPU: list[Case] = [
    ("idle", {}, UNDERUSED, None),
    ("its-cpu-is-full", {"cpu": 0.98}, CPU, COMPUTE),
    ("its-cpu-is-throttled", {"cpu": 0.7, "throttled": 0.5}, CPU, COMPUTE),
    ("its-cpu-is-half-used", {"cpu": 0.5}, NONE, CPU),
]

# SGLang 0.5.23, whose own metrics have no table yet: 41 run, 6 wait
SGLANG: list[Case] = [
    ("busy-without-profiling", {"gpu": 0.97}, COMPUTE, None),
    ("memory-saturated", {"gpu": 0.97, "dram": 0.75, "tensor": 0.2}, BANDWIDTH, COMPUTE),
    ("arithmetic-on-other-pipes", {"gpu": 0.97, "dram": 0.3, "tensor": 0.0}, COMPUTE, None),
    ("clocks-held", {"gpu": 0.97, "held": 0.9}, POWER, None),
    ("memory-full", {"gpu": 0.5, "memory": 0.96}, MEMORY, COMPUTE),
    ("memory-nearly-full", {"gpu": 0.5, "memory": 0.88}, NONE, MEMORY),
    ("gpu-hardly-used", {"gpu": 0.15}, UNDERUSED, None),
]


# vLLM 0.33.0 with a free KV cache, over several GPUs, as with --pipeline-parallel-size or --tensor-parallel-size
SPREAD: list[tuple[str, dict[str, tuple[float, ...]], dict[str, float], Kind, str | None]] = [
    ("last-stage-busy-without-profiling", {"gpu": (0.5, 0.5, 0.5, 0.97)}, {}, COMPUTE, "GPU 3"),
    ("first-stage-prefills",
     {"gpu": (0.95, 0.4, 0.4, 0.4), "dram": (0.2, 0.1, 0.1, 0.1), "tensor": (0.75, 0.3, 0.3, 0.3)}, {},
     COMPUTE, "GPU 0"),
    ("last-stage-reads-the-largest-weights",
     {"gpu": (0.5, 0.5, 0.5, 0.95), "dram": (0.35, 0.4, 0.35, 0.76), "tensor": (0.1, 0.1, 0.1, 0.2)}, {},
     BANDWIDTH, "GPU 3"),
    ("a-loop-keeps-every-stage-active",
     {"gpu": (1.0, 1.0, 1.0, 1.0), "dram": (0.35, 0.4, 0.76, 0.4), "tensor": (0.1, 0.1, 0.2, 0.1)}, {},
     BANDWIDTH, "GPU 2"),
    ("two-stages-of-two-gpus-in-step", {"gpu": (0.5, 0.52, 0.95, 0.97)}, {}, COMPUTE, "GPUs 2, 3"),
    ("clocks-of-the-full-stage-held", {"gpu": (0.5, 0.95, 0.5, 0.5), "held": (0.0, 1.0, 0.0, 0.0)}, {},
     POWER, "GPU 1"),
    ("clocks-of-another-stage-held", {"gpu": (0.5, 0.95, 0.5, 0.5), "held": (1.0, 0.0, 0.0, 0.0)}, {},
     COMPUTE, "GPU 1"),
    ("stage-full-while-the-cache-is", {"gpu": (0.5, 0.95, 0.5, 0.5)}, {"kv": 0.97}, KV, None),
    ("stage-full-behind-a-full-front", {"gpu": (0.5, 0.95, 0.5, 0.5)}, {"cpu": 0.99}, CPU, None),
    ("tensor-parallel-and-busy",
     {"gpu": (0.95, 0.96, 0.93, 0.97), "dram": (0.74, 0.76, 0.73, 0.75), "tensor": (0.2, 0.2, 0.2, 0.2)}, {},
     BANDWIDTH, None),
    ("tensor-parallel-and-half-busy", {"gpu": (0.5, 0.52, 0.49, 0.53)}, {}, NONE, None),
    ("balanced-stages", {"gpu": (0.86, 0.9, 0.88, 0.93)}, {}, COMPUTE, None),
    ("uneven-stages-under-little-load", {"gpu": (0.3, 0.5, 0.3, 0.3)}, {}, NONE, None),
    ("most-stages-full-and-one-not", {"gpu": (0.95, 0.95, 0.4)}, {}, NONE, None),
    ("measures-name-different-stages",
     {"gpu": (0.95, 0.5), "dram": (0.2, 0.76), "tensor": (0.1, 0.2)}, {}, NONE, None),
]  # fmt: skip


def well_founded(found: Bottleneck) -> bool:
    """Whether its confidence is one that rules may have, and each of its facts stands there once."""
    return 0.5 <= found.confidence <= 0.95 and len({fact.signal for fact in found.evidence}) == len(found.evidence) > 0


@pytest.mark.parametrize(("changed", "kind", "runner_up"), [pytest.param(*case[1:], id=case[0]) for case in VLLM])
def test_a_vllm_server_on_a_gpu(changed: dict[str, float], kind: Kind, runner_up: Kind | None) -> None:
    found = named(exposed("vllm-0.33.0", **ACTIVE | changed))
    assert (found.kind, found.runner_up) == (kind, runner_up)
    assert well_founded(found)


@pytest.mark.parametrize(("changed", "kind", "runner_up"), [pytest.param(*case[1:], id=case[0]) for case in VLLM_CPU])
def test_a_vllm_server_on_a_cpu(changed: dict[str, float], kind: Kind, runner_up: Kind | None) -> None:
    found = named(exposed("vllm-0.32.0-cpu", gpus=0, **changed))
    assert (found.kind, found.runner_up) == (kind, runner_up)
    assert well_founded(found)


@pytest.mark.parametrize(("changed", "kind", "runner_up"), [pytest.param(*case[1:], id=case[0]) for case in SGLANG])
def test_a_server_whose_own_metrics_have_no_table(
    changed: dict[str, float], kind: Kind, runner_up: Kind | None
) -> None:
    found = named(exposed("sglang-0.5.23", **changed))
    assert (found.kind, found.runner_up) == (kind, runner_up)
    assert well_founded(found)


@pytest.mark.parametrize(
    ("by_gpu", "changed", "kind", "stage"), [pytest.param(*case[1:], id=case[0]) for case in SPREAD]
)
def test_a_vllm_server_over_several_gpus(
    by_gpu: dict[str, tuple[float, ...]], changed: dict[str, float], kind: Kind, stage: str | None
) -> None:
    found = named(over_gpus("vllm-0.33.0", by_gpu, **{"kv": 0.3, "waiting": 0} | changed))
    assert (found.kind, found.stage.name if found.stage else None) == (kind, stage)
    assert well_founded(found)


# Our own engine on a GPU: busy share of its worker, queue, latency .1 s of which .01 s is waiting
ENGINE: list[Case] = [
    ("half-busy", {"busy": 0.5}, NONE, COMPUTE),
    ("busy-without-profiling", {"busy": 0.95}, COMPUTE, None),
    ("busy-and-memory-saturated", {"busy": 0.95, "dram": 0.75, "tensor": 0.1}, BANDWIDTH, COMPUTE),
    ("busy-and-tensor-pipes-saturated", {"busy": 0.95, "dram": 0.2, "tensor": 0.75}, COMPUTE, None),
    ("busy-with-arithmetic-on-other-pipes", {"busy": 0.95, "dram": 0.3, "tensor": 0.0}, COMPUTE, None),
    ("batches-too-small", {"busy": 1.0, "wait": 0.09, "waiting": 50, "dram": 0.2, "tensor": 0.1}, QUEUE, COMPUTE),
    ("batches-too-small-without-profiling", {"busy": 1.0, "wait": 0.09, "waiting": 50}, QUEUE, COMPUTE),
    ("waiting-for-saturated-pipes",
     {"busy": 1.0, "wait": 0.09, "waiting": 50, "dram": 0.2, "tensor": 0.75}, COMPUTE, QUEUE),
    ("waiting-for-saturated-memory",
     {"busy": 1.0, "wait": 0.09, "waiting": 50, "dram": 0.8, "tensor": 0.2}, BANDWIDTH, QUEUE),
    ("waiting-at-held-clocks",
     {"busy": 1.0, "wait": 0.09, "waiting": 50, "dram": 0.2, "tensor": 0.78, "held": 1.0}, POWER, QUEUE),
    ("batching-delay-at-low-load", {"busy": 0.1, "wait": 0.07}, UNDERUSED, None),
    ("refusals", {"busy": 0.7, "refused": 0.05}, QUEUE, COMPUTE),
    ("front-throttled-while-the-worker-idles", {"busy": 0.3, "cpu": 0.95, "throttled": 0.6}, CPU, UNDERUSED),
    ("link-full-while-the-worker-idles", {"busy": 0.4, "network": 0.95}, NETWORK, UNDERUSED),
    ("memory-full-whatever-else", {"busy": 1.0, "memory": 0.97, "wait": 0.09, "waiting": 50}, MEMORY, QUEUE),
    ("idle", {"busy": 0.02}, UNDERUSED, None),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "kind", "runner_up"), [pytest.param(*case[1:], id=case[0]) for case in ENGINE])
def test_our_own_engine_on_a_gpu(changed: dict[str, float], kind: Kind, runner_up: Kind | None) -> None:
    found = named(engine(**changed))
    assert (found.kind, found.runner_up) == (kind, runner_up)
    assert well_founded(found)


# The same engine on CPUs, whose limit is what its worker computes with
ENGINE_CPU: list[Case] = [
    ("worker-busy-below-the-limit", {"busy": 0.95, "cpu": 0.6}, COMPUTE, CPU),
    ("worker-busy-at-the-limit", {"busy": 0.95, "cpu": 0.97}, CPU, COMPUTE),
    ("waiting-at-the-limit", {"busy": 1.0, "cpu": 0.97, "wait": 0.09, "waiting": 50}, CPU, QUEUE),
    ("waiting-below-the-limit", {"busy": 1.0, "cpu": 0.5, "wait": 0.09, "waiting": 50}, QUEUE, COMPUTE),
    ("hardly-used", {"busy": 0.1, "cpu": 0.1}, UNDERUSED, None),
]


@pytest.mark.parametrize(("changed", "kind", "runner_up"), [pytest.param(*case[1:], id=case[0]) for case in ENGINE_CPU])
def test_our_own_engine_on_cpus(changed: dict[str, float], kind: Kind, runner_up: Kind | None) -> None:
    found = named(engine(gpus=0, **changed))
    assert (found.kind, found.runner_up) == (kind, runner_up)
    assert well_founded(found)


def engine(gpus: int = 1, busy: float = 0.5, wait: float = 0.01, waiting: float = 0.0, **changed: float) -> Snapshot:
    limit = 1e9
    pod = a_pod("chat-0", gpus=gpus, cpu_limit_cores=4.0, network_limit_bytes_per_second=limit)
    scale = {"cpu": 4.0, "network": limit, "refused": 40.0}
    readings = {
        SHORT[short]: a_reading(SHORT[short], {"chat-0": value * scale.get(short, 1.0)})
        for short, value in changed.items()
    }
    queue = {Signal.QUEUE_REQUESTS: a_series(Signal.QUEUE_REQUESTS, waiting)}
    target = a_target(1, pods=(pod,))
    return a_snapshot(
        target=target, busy=busy, latency=0.1, waiting=wait, queue=waiting, history=queue, readings=readings
    )


def test_the_evidence_begins_with_what_the_rule_was_decided_by() -> None:
    held = named(exposed("vllm-0.33.0", gpu=0.9, kv=0.3, waiting=0, dram=0.2, tensor=0.75, held=1.0, cpu=0.5))
    assert [fact.signal for fact in held.evidence[:2]] == [Signal.GPU_THROTTLED, Signal.GPU_TENSOR_ACTIVE_RATIO]
    front = named(exposed("vllm-0.33.0", gpu=0.9, kv=0.3, waiting=0, cpu=0.99))
    fact = front.evidence[0]
    assert (fact.signal, fact.value, fact.unit) == (Signal.CPU_USED_CORES, pytest.approx(7.92), "cores")


def test_without_any_gpu_counter_the_cache_and_the_queue_tell() -> None:
    found = named(exposed("vllm-0.33.0"))
    assert (found.kind, found.runner_up) == (KV, QUEUE)
    assert well_founded(found)
    assert found.confidence < 0.8


def test_a_limit_of_the_policy_makes_vllms_memory_a_limit() -> None:
    found = named(exposed("vllm-0.33.0", waiting=0, kv=0.5, memory=0.97), **OWN_LIMIT)
    assert (found.kind, found.runner_up) == (MEMORY, KV)
    assert well_founded(found)


def test_traffic_over_a_link_of_unknown_width_is_no_bottleneck() -> None:
    found = named(exposed("vllm-0.33.0", declared=False, waiting=0, kv=0.5, network=5.0))
    assert NETWORK not in (found.kind, found.runner_up)


def test_at_least_sixty_cases_are_labelled_and_half_of_them_start_from_real_expositions() -> None:
    real, made = len(VLLM) + len(VLLM_CPU) + len(SGLANG) + len(SPREAD), len(ENGINE) + len(ENGINE_CPU)
    assert real + made >= 60
    assert real >= (real + made) / 2
