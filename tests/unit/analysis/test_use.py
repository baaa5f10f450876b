"""How full devices and replicas are, and what waits for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import NOW, a_pod, a_reading, a_series, a_snapshot, a_target

from trimtab_operator.analysis.use import use_of
from trimtab_operator.model.signals import Point, Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

BUSY, QUEUE, GPU = Signal.BUSY_RATIO, Signal.QUEUE_REQUESTS, Signal.GPU_UTILIZATION_RATIO
CPU, KV = Signal.CPU_USED_CORES, Signal.KV_CACHE_USED_RATIO


def each(signal: Signal, value: float) -> dict[Signal, Any]:
    return {signal: a_reading(signal, {"chat-0": value, "chat-1": value})}


def test_each_device_whose_use_is_known_is_named_and_tells_how_full_the_replicas_are() -> None:
    found = use_of(a_snapshot(busy=0.4, readings=each(GPU, 0.7)))
    assert found.devices == found.replicas == found.every == {BUSY: 0.4, GPU: 0.7}


def test_the_cpu_of_a_pod_with_a_gpu_is_no_measure_of_its_use() -> None:
    target = a_target(pods=(a_pod("chat-0", gpus=1), a_pod("chat-1", gpus=1)))
    assert use_of(a_snapshot(target=target, busy=0.4, readings=each(CPU, 0.9))).devices == {BUSY: 0.4}


def queue_then(value: float) -> dict[Signal, Any]:
    series = a_series(QUEUE, 0.0)
    points = (*series.points[:-2], Point(NOW - 15.0, value), Point(NOW, 999.0))
    return {QUEUE: replace(series, points=points)}


def test_a_burst_between_two_scrapes_is_no_demand_while_the_device_has_room() -> None:
    snapshot = a_snapshot(busy=0.5, queue=100.0, history=queue_then(2.0))
    assert use_of(snapshot).backlog_requests == 2.0


def test_a_backlog_at_a_busy_device_is_demand_at_once() -> None:
    assert use_of(a_snapshot(busy=0.95, queue=100.0, history=queue_then(2.0))).backlog_requests == 100.0


def test_without_an_earlier_look_the_queue_is_what_it_is() -> None:
    assert use_of(a_snapshot(queue=100.0, history={QUEUE: a_series(QUEUE, 0.0, seconds=0.0)})).backlog_requests == 100.0
    unknown = a_snapshot(readings={QUEUE: a_reading(QUEUE, {})})
    assert use_of(unknown).backlog_requests is None
    timeless = a_snapshot(readings={QUEUE: a_reading(QUEUE, {"chat-0": 7.0, "chat-1": 0.0}, at=None)})
    assert use_of(timeless).backlog_requests == 7.0


def vllm(kv: float, queue: float = 0.0, earlier: float = 0.0) -> Snapshot:
    readings = each(GPU, 1.0) | each(KV, kv) | {BUSY: a_reading(BUSY, {})}
    return a_snapshot(target=a_target(runtime="vllm"), readings=readings, queue=queue, history=queue_then(earlier))


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        pytest.param(vllm(0.4), {KV: 0.4}, id="an-active-gpu-says-nothing"),
        pytest.param(vllm(0.4, queue=50.0, earlier=3.0), {KV: 0.4, QUEUE: 1.0}, id="a-lasting-queue-means-full"),
        pytest.param(vllm(0.4, queue=50.0), {KV: 0.4}, id="a-burst-does-not"),
        pytest.param(a_snapshot(target=a_target(runtime="vllm")), {}, id="without-kv-cache-nothing-is-known"),
    ],
)
def test_how_full_vllm_is_its_kv_cache_and_its_queue_tell(snapshot: Snapshot, expected: dict[Signal, float]) -> None:
    assert use_of(snapshot).replicas == expected


def test_what_limits_vllm_is_sought_among_its_devices_too() -> None:
    assert use_of(vllm(0.4)).every == {GPU: 1.0, KV: 0.4}


def test_a_target_that_is_not_there_is_not_full() -> None:
    assert use_of(Snapshot(now=NOW, target=TargetProblem("NotFound", ""))).replicas == {}
