"""KEDA with a Prometheus query: a replica for each threshold of the total."""

from __future__ import annotations

import dataclasses

import pytest
from harness.rival_views import PROFILE, STARTING, pod, traffic, view

from bench.scaling.rivals.hpa_metric import Tolerance, replicas_of_total
from bench.scaling.rivals.keda import Keda, Settings


@pytest.mark.parametrize(
    ("pods", "total", "expected"),
    [
        # ceil(total / 10), but for a tenth around 10 a pod.
        pytest.param(1, 100, 10, id="ten thresholds"),
        pytest.param(1, 101, 11, id="a part of one needs a whole one"),
        pytest.param(4, 44, 4, id="44 / 40 = 1.1 is within the tolerance"),
        pytest.param(4, 45, 5, id="45 / 40 is not"),
        pytest.param(4, 36, 4, id="36 / 40 = 0.9 is within the tolerance"),
        pytest.param(4, 35, 4, id="35 / 40 is not, and needs 3.5"),
        pytest.param(4, 30, 3, id="30 / 40 needs 3"),
        pytest.param(4, 0, 0, id="no load needs none"),
        pytest.param(20, 190, 20, id="19 would do, within the tolerance"),
        pytest.param(0, 15, 2, id="no pod has no average"),
        pytest.param(20, 179, 18, id="179 / 200 is beyond the tolerance"),
    ],
)
def test_an_external_metric_recommends(pods: int, total: int, expected: int) -> None:
    assert replicas_of_total(pods, 1000 * total, 10_000, Tolerance()) == expected


def test_requests_at_the_gateway_and_in_pods_are_the_total() -> None:
    # 30 + 30 + 20 requests, 20 a replica: 4.
    keda = Keda(Settings(threshold_ratio=0.5), PROFILE)
    assert keda.wants(view(pod(25, 5), pod(20), gateway_waiting=30)) == 4


def test_starting_pods_count_as_replicas() -> None:
    # 60 requests for 3 pods at 20 are on target.
    keda = Keda(Settings(threshold_ratio=0.5), PROFILE)
    assert keda.wants(view(pod(40), STARTING, STARTING, gateway_waiting=20)) == 3


def test_it_sees_a_queue_before_any_pod_is_ready() -> None:
    keda = Keda(Settings(threshold_ratio=0.5), PROFILE)
    assert keda.wants(view(STARTING, gateway_waiting=80)) == 4


def test_arrivals_may_be_the_total() -> None:
    # A replica carries 2 requests per second of 500 + 500 tokens; 1 is the threshold.
    keda = Keda(Settings(query="arrivals", threshold_ratio=0.5), PROFILE)
    assert keda.wants(view(pod(), pod(), pod(), seen=traffic(arrived_rps=4.5, finished_rps=1.0))) == 5


def test_arrivals_of_an_unknown_size_change_nothing() -> None:
    keda = Keda(Settings(query="arrivals"), PROFILE)
    assert keda.wants(view(pod(), pod(), seen=traffic(arrived_rps=50.0))) == 2


def test_requests_that_no_replica_serves_well_change_nothing() -> None:
    hopeless = dataclasses.replace(PROFILE, carries_rps=lambda _prompt_tokens, _output_tokens: 0.0)
    keda = Keda(Settings(query="arrivals"), hopeless)
    assert keda.wants(view(pod(), pod(), seen=traffic(arrived_rps=50.0, finished_rps=1.0))) == 2


def test_up_at_most_to_four_or_twice_and_down_after_the_window() -> None:
    keda = Keda(Settings(threshold_ratio=0.5, down_stabilization_seconds=60.0), PROFILE)
    assert keda.wants(view(pod(), now=0.0, gateway_waiting=160)) == 4
    assert keda.wants(view(*[pod()] * 4, now=15.0, gateway_waiting=160)) == 8
    assert keda.wants(view(*[pod()] * 8, now=75.0)) == 8
    assert keda.wants(view(*[pod()] * 8, now=76.0)) == 1


def test_with_a_behavior_it_goes_up_by_four() -> None:
    keda = Keda(Settings(threshold_ratio=0.5, up_stabilization_seconds=0.0), PROFILE)
    assert keda.wants(view(pod(), gateway_waiting=1000)) == 5
