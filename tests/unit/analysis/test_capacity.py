"""Load, use, and what one replica carries."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.batching import FIRST_TOKEN, batching, log_normal
from fakes.builders import NOW, a_distribution, a_pod, a_policy, a_reading, a_series, a_snapshot, a_target

from trimtab_operator.analysis.capacity import capacity
from trimtab_operator.analysis.headroom import headroom
from trimtab_operator.analysis.occupancy import occupancy
from trimtab_operator.analysis.use import use_of
from trimtab_operator.model.analysis import Capacity
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

RPS, BUSY, QUEUE, GPU = (
    Signal.REQUESTS_PER_SECOND,
    Signal.BUSY_RATIO,
    Signal.QUEUE_REQUESTS,
    Signal.GPU_UTILIZATION_RATIO,
)
CPU, KV, TTFT = Signal.CPU_USED_CORES, Signal.KV_CACHE_USED_RATIO, Signal.TIME_TO_FIRST_TOKEN_SECONDS


def each(signal: Signal, value: float) -> dict[Signal, Any]:
    return {signal: a_reading(signal, {"chat-0": value, "chat-1": value})}


def found(snapshot: Snapshot, **spec: Any) -> Capacity:
    carried = capacity(snapshot, a_policy(**spec), use_of(snapshot))
    assert carried is not None
    return carried


def test_capacity_is_good_answers_over_replicas_and_their_use() -> None:
    carried = found(a_snapshot(rps=40.0, errors=4.0, busy=0.5))
    assert carried.demand_rps == 40.0
    assert carried.per_replica_rps == pytest.approx(36.0 / (2 * 0.5))
    assert (carried.utilization_ratio, carried.binding) == (0.5, BUSY)
    assert [fact.signal for fact in carried.evidence] == [BUSY, RPS, QUEUE]


def test_the_fullest_device_binds() -> None:
    assert found(a_snapshot(busy=0.4, readings=each(GPU, 0.7))).binding is GPU
    assert found(a_snapshot(busy=0.4, readings=each(CPU, 0.9))).binding is CPU


def test_no_device_is_more_than_full() -> None:
    assert found(a_snapshot(busy=1.3, readings=each(CPU, 1.2))).utilization_ratio == 1.0


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(a_snapshot(readings={BUSY: a_reading(BUSY, {})}), id="use-not-known"),
        pytest.param(Snapshot(now=NOW, target=TargetProblem("NotFound", "")), id="no-target"),
    ],
)
def test_without_the_use_of_the_pods_there_is_no_capacity(snapshot: Snapshot) -> None:
    assert capacity(snapshot, a_policy(), use_of(snapshot)) is None


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(a_snapshot(busy=0.09), id="hardly-used"),
        pytest.param(a_snapshot(rps=0.5, busy=0.5), id="ten-requests"),
        pytest.param(a_snapshot(readings={RPS: a_reading(RPS, {})}), id="requests-not-counted"),
    ],
)
def test_the_capacity_of_a_replica_is_not_guessed(snapshot: Snapshot) -> None:
    assert found(snapshot).per_replica_rps is None


def test_without_counted_requests_demand_is_none() -> None:
    carried = found(a_snapshot(readings={RPS: a_reading(RPS, {})}))
    assert (carried.demand_rps, carried.demand_peak_rps) == (None, None)
    assert carried.utilization_ratio == 0.5


def test_what_waits_is_to_be_answered_within_ten_seconds() -> None:
    assert found(a_snapshot(queue=2.0)).demand_rps == pytest.approx(40.2)
    assert found(a_snapshot(readings={QUEUE: a_reading(QUEUE, {})})).demand_rps == 40.0


def test_the_peak_of_demand_adds_the_peaks_of_rate_and_queue() -> None:
    carried = found(a_snapshot(history={RPS: a_series(RPS, 60.0), QUEUE: a_series(QUEUE, 50.0)}))
    assert carried.demand_peak_rps == pytest.approx(65.0)
    without_queue = found(a_snapshot(history={RPS: a_series(RPS, 60.0), QUEUE: a_series(QUEUE, 0.0, seconds=-15.0)}))
    assert without_queue.demand_peak_rps == pytest.approx(60.0)


@pytest.mark.parametrize("seconds", [150.0, -15.0], ids=["half-of-the-stabilisation", "nothing"])
def test_peaks_are_none_unless_data_covers_the_stabilisation_time(seconds: float) -> None:
    short = {signal: a_series(signal, 0.5, seconds=seconds) for signal in (RPS, BUSY)}
    carried = found(a_snapshot(history=short))
    assert (carried.demand_peak_rps, carried.utilization_peak_ratio) == (None, None)


def test_the_peak_of_use_is_the_largest_of_any_device() -> None:
    assert found(a_snapshot(busy=0.3, history={BUSY: a_series(BUSY, 0.6)})).utilization_peak_ratio == 0.6


@pytest.mark.parametrize("now", [0.5, 0.0], ids=["in-use-now", "idle-now"])
def test_the_peak_of_cpu_is_cores_over_the_limits_of_the_pods(now: float) -> None:
    history = {CPU: a_series(CPU, 1.5)}  # of two limits of one core
    carried = found(a_snapshot(busy=0.1, readings=each(CPU, now), history=history))
    assert carried.utilization_peak_ratio == pytest.approx(0.75)


LIMIT = {"gpuMemoryRatio": {"max": "0.90"}}


@pytest.mark.parametrize(
    ("objectives", "runtime", "pressure"),
    [
        (LIMIT, "trimtab", 0.5),
        (LIMIT, "vllm", None),
        ({"gpuMemoryRatio": {"max": "0"}}, "trimtab", None),
        ({"latency": {"max": "1s"}}, "trimtab", None),
        (None, "trimtab", None),
    ],
    ids=["own-limit", "preallocated", "limit-of-nothing", "other-objective", "no-objectives"],
)
def test_memory_pressure_needs_a_limit_and_a_runtime_whose_memory_follows_load(
    objectives: Any, runtime: str, pressure: float | None
) -> None:
    readings = each(Signal.GPU_MEMORY_USED_RATIO, 0.45) | each(KV, 0.5)
    snapshot = a_snapshot(target=a_target(runtime=runtime), readings=readings)
    assert found(snapshot, objectives=objectives).memory_pressure_ratio == pressure


def test_a_vllm_that_is_full_now_has_no_larger_peak() -> None:
    waits = {QUEUE: a_series(QUEUE, 50.0)}
    carried = found(a_snapshot(target=a_target(runtime="vllm"), queue=50.0, readings=each(KV, 0.4), history=waits))
    assert (carried.utilization_ratio, carried.binding, carried.utilization_peak_ratio) == (1.0, QUEUE, 1.0)


CHAT = {"objectives": FIRST_TOKEN}


def test_of_a_runtime_that_batches_continuously_the_load_is_known_in_replicas() -> None:
    carried = found(batching([20.0] * 120, replicas=4, pressure=0.8), **CHAT)
    assert carried.load is not None
    assert carried.load.full_sequences == pytest.approx(32.5, rel=1e-3)
    assert carried.load.replicas == pytest.approx(4 * 0.4 * 62.5 / 32.5, rel=1e-3)
    assert carried.utilization_ratio == pytest.approx(carried.load.replicas / 4)
    assert (carried.binding, carried.utilization_peak_ratio) == (Signal.RUNNING_REQUESTS, None)
    assert [fact.signal for fact in carried.evidence][:2] == [Signal.RUNNING_REQUESTS, RPS]


def test_more_load_than_the_replicas_carry_is_a_utilization_of_1() -> None:
    carried = found(batching([20.0] * 120, waiting=100.0), **CHAT)
    assert carried.load is not None
    # Ten answers a second of two full replicas: a request is worth .2 of one for a second, and a start takes 100 s.
    assert carried.load.replicas == pytest.approx(2.0 + 0.2 * 100.0 / 100.0, rel=1e-3)
    assert carried.utilization_ratio == 1.0


@pytest.mark.parametrize(
    ("running", "peak"),
    [
        # Two replicas with n sequences each, at an h of 30: 2 n / (30 + n), times (30 + full) / full.
        pytest.param([20.0] * 40 + [5.0] * 12, 2 * 20 / 50, id="within-the-stabilisation-time"),
        pytest.param([20.0] * 40 + [5.0] * 30, 2 * 5 / 35, id="before-it"),
        pytest.param([20.0] * 4 + [5.0] * 6, None, id="not-all-of-it-known"),
    ],
)
def test_the_peak_of_the_load_is_the_largest_of_the_stabilisation_time(
    running: list[float], peak: float | None
) -> None:
    load = found(batching(running), **CHAT).load
    assert load is not None
    full = (30.0 + load.full_sequences) / load.full_sequences
    assert load.peak_replicas == (None if peak is None else pytest.approx(peak * full))


@pytest.mark.parametrize(("seconds", "lead_steps", "held_steps"), [(15.0, 3, 20), (60.0, 6, 20), (600.0, 42, 40)])
@pytest.mark.parametrize("percentile", [50, 99])
def test_the_headroom_is_what_the_past_asks_for_at_the_time_that_replicas_take(
    seconds: float, lead_steps: int, held_steps: int, percentile: int
) -> None:
    pods = tuple(a_pod(f"chat-{number}", ready_at=NOW - 3700.0 + seconds) for number in range(2))
    objectives = {"timeToFirstToken": {"percentile": percentile, "max": "1s"}}
    snapshot = batching([1.01**place for place in range(240)], target=a_target(pods=pods, runtime="vllm"))
    load = found(snapshot, objectives=objectives).load
    seen = occupancy(snapshot, a_policy(objectives=objectives), seconds)
    assert load is not None
    assert seen is not None
    assert load.headroom == headroom(seen.past_replicas, lead_steps, held_steps, 1.0 - percentile / 100.0)


def test_the_peak_is_read_cautiously() -> None:
    wide = {TTFT: a_distribution(TTFT, {"chat-0": log_normal(0.3, 1.2)})}
    bold, cautious = (found(batching([20.0] * 120, five_minutes=five), **CHAT).load for five in ({}, wide))
    assert bold is not None
    assert cautious is not None
    assert cautious.replicas == bold.replicas == bold.peak_replicas
    assert cautious.peak_replicas is not None
    assert cautious.peak_replicas > 1.05 * bold.replicas


def test_until_its_times_are_known_the_kv_cache_and_the_queue_tell() -> None:
    carried = found(batching([20.0] * 120, kv=0.4, requests=10.0), **CHAT)
    assert (carried.load, carried.binding, carried.utilization_ratio) == (None, KV, 0.4)
