"""From readings by pod to one value, and what load, money and energy come of it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fakes.builders import NOW, a_distribution, a_pod, a_policy, a_reading, a_series, a_snapshot, a_target, buckets

from trimtab_operator.analysis import load, pods
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

RPS, MEMORY = Signal.REQUESTS_PER_SECOND, Signal.GPU_MEMORY_USED_RATIO
GONE = Snapshot(now=NOW, target=TargetProblem("NotFound", "gone"))
TWO = {"chat-0": 1.0, "chat-1": 3.0}


@pytest.mark.parametrize(
    ("signal", "value"), [(RPS, 4.0), (Signal.BUSY_RATIO, 2.0), (MEMORY, 3.0)], ids=["sum", "mean", "max"]
)
def test_pods_are_combined_by_the_nature_of_the_signal(signal: Signal, value: float) -> None:
    assert pods.total(a_snapshot(readings={signal: a_reading(signal, TWO)}), signal) == value


def test_what_is_not_a_number_and_who_does_not_serve_is_left_out() -> None:
    odd = a_reading(RPS, {"chat-0": 5.0, "chat-1": math.nan, "stranger": 9.0})
    snapshot = a_snapshot(readings={RPS: odd})
    assert pods.total(snapshot, RPS) == 5.0
    assert pods.values(snapshot, RPS) == {"chat-0": 5.0}


def test_nothing_is_none_and_never_zero() -> None:
    assert pods.total(GONE, RPS) is None
    assert pods.total(a_snapshot(readings={RPS: a_reading(RPS, {})}), RPS) is None
    assert pods.values(GONE, RPS) == {}
    assert pods.values(a_snapshot(readings={RPS: a_reading(RPS, TWO, state=SignalState.ERROR)}), RPS) == {}
    assert pods.values(replace(GONE, readings={RPS: a_reading(RPS, TWO)}), RPS) == {}
    assert pods.total(a_snapshot(readings={RPS: a_reading(RPS, {"stranger": 1.0})}), RPS) is None
    assert pods.requests(None, a_snapshot()) is None


def test_a_pod_still_in_its_first_window_is_left_out_where_others_have_served_longer() -> None:
    young = a_pod("chat-1", ready_at=NOW - 10.0)
    mixed = a_target(pods=(a_pod("chat-0"), young))
    assert pods.values(a_snapshot(target=mixed, rps=40.0), RPS) == {"chat-0": 20.0}
    fresh = a_target(pods=(young,))
    assert pods.values(a_snapshot(target=fresh, rps=40.0), RPS) == {"chat-1": 40.0}
    unknown = a_target(pods=(a_pod("chat-0", ready_at=None),))
    assert pods.values(a_snapshot(target=unknown, rps=40.0), RPS) == {"chat-0": 40.0}


def test_recent_is_the_mean_of_five_minutes_or_the_reading() -> None:
    assert pods.recent(a_snapshot(rps=40.0, history={RPS: a_series(RPS, 10.0)}), RPS) == 10.0
    assert pods.recent(replace(a_snapshot(rps=40.0), history={}), RPS) == 40.0


def test_evidence_names_query_value_unit_time_and_samples() -> None:
    fact = pods.evidence(a_snapshot(), RPS, 40.0, samples=800)
    assert (fact.query, fact.value, fact.unit, fact.at, fact.samples) == (
        "query(requests_per_second)",
        40.0,
        "requests/s",
        NOW - 2.0,
        800,
    )
    histogram = pods.evidence(a_snapshot(), Signal.LATENCY_SECONDS, 0.1)
    assert histogram.query == "query(latency_seconds)"
    assert pods.evidence(GONE, RPS, 0.0) == replace(fact, query="", value=0.0, at=NOW, samples=None)


def test_a_broken_histogram_of_one_pod_does_not_spoil_the_others() -> None:
    broken = replace(buckets(10.0), cumulative=(math.nan,) * 51)
    mixed = a_distribution(Signal.LATENCY_SECONDS, {"chat-0": buckets(10.0), "chat-1": broken})
    assert pods.requests(mixed, a_snapshot()) == buckets(10.0)


def test_served_requests_are_offered_less_failed_over_five_minutes() -> None:
    errors = Signal.ERRORS_PER_SECOND
    snapshot = a_snapshot(rps=40.0, errors=1.0)
    assert load.served_rps(snapshot) == 39.0
    more = a_snapshot(history={errors: a_series(errors, 100.0)})
    assert load.served_rps(more) == 0.0
    assert load.served_rps(GONE) is None
    assert load.requests_in_window(a_snapshot(rps=40.0)) == 800.0
    assert load.requests_in_window(GONE) is None


COST = {"currency": "USD", "perGpuHour": "2.50", "perCpuHour": "0.10"}


@pytest.mark.parametrize(
    ("pod", "cost", "hourly"),
    [
        pytest.param(a_pod(gpus=1), COST, 5.2, id="gpu-and-core"),
        pytest.param(a_pod(gpus=0), {"perGpuHour": "2.50"}, 0.0, id="no-gpu"),
        pytest.param(a_pod(cpu_limit_cores=None, cpu_request_cores=4.0), {"perCpuHour": "0.10"}, 0.8, id="request"),
        pytest.param(a_pod(cpu_limit_cores=None, cpu_request_cores=None), {"perCpuHour": "1"}, None, id="no-amount"),
        pytest.param(a_pod(), None, None, id="no-prices"),
    ],
)
def test_the_price_of_an_hour_is_replicas_times_what_a_pod_has(pod: object, cost: object, hourly: float | None) -> None:
    target = a_target(2, pods=(pod,))  # type: ignore[arg-type]
    found = load.cost_per_hour(a_snapshot(target=target), a_policy(cost=cost))
    assert found == (None if hourly is None else pytest.approx(hourly))


def test_the_price_of_other_replicas_and_of_no_pods() -> None:
    assert load.cost_per_hour(a_snapshot(), a_policy(cost=COST), replicas=8) == pytest.approx(0.8)
    assert load.cost_per_hour(a_snapshot(target=a_target(0)), a_policy(cost=COST)) is None
    assert load.cost_per_hour(GONE, a_policy(cost=COST)) is None


def test_cost_and_energy_of_a_request_need_requests() -> None:
    watts = {Signal.GPU_POWER_WATTS: a_reading(Signal.GPU_POWER_WATTS, {"chat-0": 100.0, "chat-1": 100.0})}
    snapshot = a_snapshot(rps=40.0, readings=watts)
    assert load.joules_per_request(snapshot) == pytest.approx(5.0)
    assert load.cost_per_request(snapshot, a_policy(cost={"perCpuHour": "36"})) == pytest.approx(0.0005)
    idle = a_snapshot(rps=0.0, readings=watts)
    assert load.joules_per_request(idle) is None
    assert load.cost_per_request(idle, a_policy(cost=COST)) is None
    assert load.joules_per_request(a_snapshot()) is None


def test_cpu_over_limit_uses_the_measured_limit_then_the_declared_one() -> None:
    used = {Signal.CPU_USED_CORES: a_reading(Signal.CPU_USED_CORES, {"chat-0": 0.5, "chat-1": 0.3})}
    assert load.cpu_ratio(a_snapshot(readings=used)) == pytest.approx(0.4)
    limit = {Signal.CPU_LIMIT_CORES: a_reading(Signal.CPU_LIMIT_CORES, {"chat-0": 2.0, "chat-1": 2.0})}
    assert load.cpu_ratio(a_snapshot(readings=used | limit)) == pytest.approx(0.2)
    unlimited = a_target(pods=(a_pod("chat-0", cpu_limit_cores=None), a_pod("chat-1")))
    assert load.cpu_ratio(a_snapshot(target=unlimited, readings=used)) == pytest.approx(0.3)
    assert load.cpu_ratio(a_snapshot()) is None
    assert load.cpu_ratio(GONE) is None


def test_memory_over_limit() -> None:
    used = {Signal.MEMORY_USED_BYTES: a_reading(Signal.MEMORY_USED_BYTES, {"chat-0": 2.0**29, "chat-1": 2.0**30})}
    assert load.memory_ratio(a_snapshot(readings=used)) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("runtime", "named"),
    [
        ("trimtab", "trimtab_engine_request_seconds_bucket"),
        ("vllm", "vllm:e2e_request_latency_seconds_bucket"),
    ],
)
def test_a_person_is_sent_to_the_metric_of_their_own_runtime(runtime: str, named: str) -> None:
    snapshot = a_snapshot(target=a_target(runtime=runtime))
    assert pods.metric(snapshot, Signal.LATENCY_SECONDS) == named


def test_a_signal_that_the_runtime_lacks_is_named_by_a_runtime_that_has_it() -> None:
    assert pods.metric(GONE, Signal.KV_CACHE_USED_RATIO).startswith("vllm:")
