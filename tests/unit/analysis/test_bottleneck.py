"""What limits the target: one table of cases with their evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import (
    NOW,
    a_distribution,
    a_pod,
    a_reading,
    a_series,
    a_snapshot,
    a_target,
    buckets,
)
from fakes.ledger import stamp
from fakes.limiting import limiting, named

from trimtab_api.findings import BottleneckKind
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

QUEUE, COMPUTE, UNDERUSED, MEMORY, NONE = (
    BottleneckKind.QUEUE,
    BottleneckKind.COMPUTE,
    BottleneckKind.UNDERUSED,
    BottleneckKind.GPU_MEMORY,
    BottleneckKind.NONE,
)
KV = BottleneckKind.KV_CAPACITY
PODS = ("chat-0", "chat-1")


def each(signal: Signal, value: float) -> dict[Signal, Any]:
    return {signal: a_reading(signal, dict.fromkeys(PODS, value))}


WITHOUT_BUSY = {Signal.BUSY_RATIO: a_series(Signal.BUSY_RATIO, 0.0, seconds=-15.0)}


def gpus(utilization: float, memory: float = 0.5, runtime: str = "vllm") -> Snapshot:
    target = a_target(pods=tuple(a_pod(name, gpus=1) for name in PODS), runtime=runtime)
    readings = each(Signal.GPU_UTILIZATION_RATIO, utilization) | each(Signal.GPU_MEMORY_USED_RATIO, memory)
    readings |= {Signal.BUSY_RATIO: a_reading(Signal.BUSY_RATIO, {})}
    return a_snapshot(
        target=target, readings=readings, history={Signal.BUSY_RATIO: a_series(Signal.BUSY_RATIO, 0, seconds=-15)}
    )


def kv(used: float) -> Snapshot:
    snapshot = gpus(0.5)
    return replace(snapshot, readings=snapshot.readings | each(Signal.KV_CACHE_USED_RATIO, used))


OWN = {"objectives": {"gpuMemoryRatio": {"max": "0.90"}}}
FAST = {Signal.LATENCY_SECONDS: a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, buckets(400, 0.0005)))}
LATE = Buckets((0.001, 1.0, math.inf), (0.0, 0.0, 400.0))
SLOW = {
    Signal.LATENCY_SECONDS: a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, LATE)),
    Signal.QUEUE_SECONDS: a_distribution(Signal.QUEUE_SECONDS, dict.fromkeys(PODS, LATE)),
}

CASES: list[tuple[str, Snapshot, dict[str, Any], BottleneckKind, BottleneckKind | None]] = [
    ("half-used", a_snapshot(busy=0.5), {}, NONE, COMPUTE),
    ("busy", a_snapshot(busy=0.95), {}, COMPUTE, None),
    ("just-busy", a_snapshot(busy=0.8), {}, COMPUTE, None),
    ("idle", a_snapshot(rps=0.0, busy=0.0), {}, UNDERUSED, None),
    ("little-used", a_snapshot(busy=0.2), {}, UNDERUSED, None),
    ("busy-and-waiting", a_snapshot(busy=1.0, latency=1.0, waiting=0.9, queue=50.0), {}, QUEUE, COMPUTE),
    ("waiting-with-a-backlog", a_snapshot(busy=0.4, latency=1.0, waiting=0.9, queue=50.0,
        history={Signal.QUEUE_REQUESTS: a_series(Signal.QUEUE_REQUESTS, 50.0)}), {}, QUEUE, UNDERUSED),
    ("batching-delay-at-low-load", a_snapshot(busy=0.1, latency=0.008, waiting=0.006), {}, UNDERUSED, None),
    ("refused", a_snapshot(busy=0.7, readings=each(Signal.REJECTED_PER_SECOND, 2.0)), {}, QUEUE, COMPUTE),
    ("refused-before-any-histogram", a_snapshot(busy=0.7, readings=each(Signal.REJECTED_PER_SECOND, 2.0),
        distributions={Signal.QUEUE_SECONDS: a_distribution(Signal.QUEUE_SECONDS, {})}), {}, QUEUE, COMPUTE),
    ("too-few-requests-for-a-percentile", a_snapshot(rps=0.5, busy=0.7, latency=1.0, waiting=0.9), {}, NONE, COMPUTE),
    ("faster-than-the-first-bucket", a_snapshot(busy=0.9, distributions=FAST), {}, COMPUTE, None),
    ("slower-than-the-last-bucket", a_snapshot(busy=0.9, distributions=SLOW), {}, QUEUE, COMPUTE),
    ("gpu-busy", gpus(0.95), {}, COMPUTE, None),
    ("gpu-idle", gpus(0.1), {}, UNDERUSED, None),
    ("kv-cache-full", kv(0.9), {}, KV, COMPUTE),
    ("kv-cache-half-full", kv(0.5), {}, NONE, KV),
    ("gpu-memory-over-the-limit", gpus(0.5, memory=0.95), OWN, MEMORY, COMPUTE),
    ("gpu-memory-that-vllm-took-at-its-start", gpus(0.5, memory=0.95), {}, NONE, COMPUTE),
    ("gpu-memory-of-another-runtime", gpus(0.5, memory=0.95, runtime="trimtab"), {}, MEMORY, COMPUTE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("snapshot", "spec", "kind", "runner_up"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_the_rules_name_what_limits(
    snapshot: Snapshot, spec: dict[str, Any], kind: BottleneckKind, runner_up: BottleneckKind | None
) -> None:
    found = named(snapshot, **spec)
    assert (found.kind, found.runner_up) == (kind, runner_up)
    assert 0.5 <= found.confidence <= 0.95


def test_the_evidence_has_query_value_time_and_samples() -> None:
    facts = {fact.signal: fact for fact in named(a_snapshot(busy=1.0, latency=1.0, waiting=0.9, queue=50.0)).evidence}
    assert set(facts) == {
        Signal.BUSY_RATIO,
        Signal.QUEUE_SECONDS,
        Signal.LATENCY_SECONDS,
        Signal.QUEUE_REQUESTS,
        Signal.REJECTED_PER_SECOND,
    }
    waited = facts[Signal.QUEUE_SECONDS]
    assert waited.query == "histogram_quantile(0.95, query(queue_seconds))"
    assert waited.value == pytest.approx(0.9, rel=0.25)
    assert (waited.unit, waited.at, waited.samples) == ("s", NOW - 2.0, 800)


def test_confidence_grows_with_the_distance_from_the_border() -> None:
    confidence = [named(a_snapshot(busy=busy)).confidence for busy in (0.81, 0.95)]
    assert confidence[0] < confidence[1]
    assert named(a_snapshot(rps=0.0, busy=0.0)).confidence == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("before", "busy", "kind"),
    [
        ("Compute", 0.7, COMPUTE),
        ("Compute", 0.55, NONE),
        ("None", 0.7, NONE),
        ("Underused", 0.35, UNDERUSED),
        ("None", 0.35, NONE),
        ("Underused", 0.45, NONE),
        ("Cpu", 0.7, NONE),
    ],
)
def test_a_kind_that_stands_is_not_given_up_at_its_border(before: str, busy: float, kind: BottleneckKind) -> None:
    assert named(a_snapshot(busy=busy), status=standing(before)).kind is kind


def standing(kind: str) -> dict[str, Any]:
    return {"bottleneck": {"kind": kind, "confidence": "0.5", "since": stamp(NOW - 60.0)}}


@pytest.mark.parametrize(("waiting", "kind"), [(0.55, COMPUTE), (0.9, QUEUE)])
def test_an_earlier_rule_must_hold_clearly_to_replace_a_kind_that_stands(waiting: float, kind: BottleneckKind) -> None:
    snapshot = a_snapshot(busy=0.9, latency=1.0, waiting=waiting)
    assert named(snapshot, status=standing("Compute")).kind is kind


@pytest.mark.parametrize(
    ("before", "snapshot", "kind"),
    [
        pytest.param("Underused", gpus(1.0), COMPUTE, id="an-idle-target-is-suddenly-full"),
        pytest.param("Compute", gpus(0.9, memory=0.91), MEMORY, id="memory-needs-no-margin"),
        pytest.param("GpuMemory", gpus(0.5, memory=0.89), MEMORY, id="memory-stays-near-its-limit"),
        pytest.param("GpuMemory", gpus(0.5, memory=0.85), NONE, id="memory-is-released"),
    ],
)
def test_what_stands_gives_way_to_what_is_clear(before: str, snapshot: Snapshot, kind: BottleneckKind) -> None:
    assert named(snapshot, status=standing(before), **OWN).kind is kind


@pytest.mark.parametrize(
    "snapshot",
    [
        a_snapshot(readings={Signal.BUSY_RATIO: a_reading(Signal.BUSY_RATIO, {})}),
        Snapshot(now=NOW, target=TargetProblem("NotFound", "")),
    ],
    ids=["use-not-known", "no-target"],
)
def test_without_the_use_of_the_devices_nothing_is_named(snapshot: Snapshot) -> None:
    assert limiting(snapshot) is None


def test_a_counter_below_zero_counts_as_no_activity() -> None:
    readings = each(Signal.GPU_DRAM_ACTIVE_RATIO, 0.1) | each(Signal.GPU_TENSOR_ACTIVE_RATIO, -1.0)
    assert named(a_snapshot(busy=0.9, readings=readings)).kind is COMPUTE


def test_one_short_pause_does_not_make_a_target_underused() -> None:
    busy = {Signal.BUSY_RATIO: a_series(Signal.BUSY_RATIO, 0.6)}
    assert named(a_snapshot(busy=0.1, history=busy)).kind is NONE


def test_a_cpu_target_without_series_is_judged_by_what_it_uses_now() -> None:
    readings = {Signal.BUSY_RATIO: a_reading(Signal.BUSY_RATIO, {})} | each(Signal.CPU_USED_CORES, 0.1)
    snapshot = a_snapshot(readings=readings, history=WITHOUT_BUSY)
    assert named(snapshot).kind is UNDERUSED


LAYERS = {"query": 0.2, "output": 0.3, "intermediate": 0.3, "norm": 0.049, "pooler": 0.05, "key": 0.06, "value": 0.07}


def test_where_passes_limit_the_largest_kinds_of_layers_are_its_parts() -> None:
    busy = replace(a_snapshot(busy=0.95), layer_time=LAYERS)
    assert named(busy).parts == (
        ("intermediate", 0.3),
        ("output", 0.3),
        ("query", 0.2),
        ("value", 0.07),
        ("key", 0.06),
    )
    assert named(replace(busy, layer_time={"norm": 0.049})).parts == ()


def test_where_passes_do_not_limit_there_are_no_parts() -> None:
    assert named(replace(a_snapshot(busy=0.5), layer_time=LAYERS)).parts == ()
