"""The simulated Deployment: orders, starts, drains, nodes, and that no request is lost meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_replay.batching import Request, Served, ServingModel
from trimtab_replay.fleet import Fleet, FleetPlan

MODEL = ServingModel(step_seconds=0.01, sequence_seconds=0.001, prompt_token_seconds=0.0001)
PLAN = FleetPlan(MODEL, startup_seconds=60.0, gpus=2)


def a_request(number: int, arrived: float, output: int = 100) -> Request:
    return Request(number, arrived, 100, output)


def test_a_pod_that_was_ordered_serves_after_its_start_and_costs_from_its_order() -> None:
    fleet = Fleet(PLAN, 1, 0.0)
    fleet.scale(2)
    fleet.advance(59.0)
    assert [pod.serves for pod in fleet.pods] == [True, False]
    fleet.advance(60.0)
    assert [pod.serves for pod in fleet.pods] == [True, True]
    assert fleet.gpu_seconds == pytest.approx(60.0 * 2 * 2)


def test_requests_go_where_the_fewest_are_and_wait_while_nobody_serves() -> None:
    fleet = Fleet(PLAN, 2, 0.0)
    for number in range(4):
        fleet.arrive(a_request(number, 0.0))
    assert [pod.outstanding for pod in fleet.pods] == [2, 2]
    nobody = Fleet(PLAN, 0, 0.0)
    nobody.arrive(a_request(1, 0.0))
    assert nobody.unserved == 1
    nobody.scale(1)
    ((name, answer),) = nobody.advance(100.0)
    assert name == "replica-1"
    assert answer.queue_seconds == pytest.approx(60.0)


def test_a_pod_that_is_removed_ends_what_it_has_and_takes_nothing_new() -> None:
    fleet = Fleet(PLAN, 2, 0.0)
    for number in range(2):
        fleet.arrive(a_request(number, 0.0, output=1000))
    fleet.scale(1)
    fleet.arrive(a_request(2, 1.0))
    assert [pod.outstanding for pod in fleet.pods] == [2, 1]
    served = fleet.advance(100.0)
    assert sorted(each.request.number for _, each in served) == [0, 1, 2]
    assert len(fleet.pods) == 1


def test_what_still_starts_is_removed_before_what_serves_and_what_has_no_node_first() -> None:
    fleet = Fleet(FleetPlan(MODEL, startup_seconds=60.0, nodes=2), 1, 0.0)
    fleet.scale(3)
    assert [pod.scheduled for pod in fleet.pods] == [True, True, False]
    fleet.scale(2)
    assert [pod.scheduled for pod in fleet.pods] == [True, True]
    fleet.scale(1)
    assert [pod.serves for pod in fleet.pods] == [True]


def test_a_pod_without_a_node_costs_nothing_and_starts_when_one_is_free() -> None:
    fleet = Fleet(FleetPlan(MODEL, startup_seconds=10.0, nodes=1), 1, 0.0)
    fleet.scale(2)
    fleet.advance(100.0)
    assert [pod.serves for pod in fleet.pods] == [True, False]
    assert fleet.gpu_seconds == pytest.approx(100.0)
    fleet.pods[0].draining_since = fleet.now
    fleet.advance(101.0)
    fleet.advance(111.0)
    assert [pod.serves for pod in fleet.pods] == [True]


@given(st.lists(st.tuples(st.floats(0.0, 200.0), st.integers(1, 4), st.booleans()), min_size=1, max_size=30))
def test_every_request_is_answered_once_however_the_fleet_is_scaled(events: list[tuple[float, int, bool]]) -> None:
    fleet = Fleet(FleetPlan(MODEL, startup_seconds=20.0, nodes=3), 1, 0.0)
    served, asked = list[tuple[str, Served]](), 0
    for at, replicas, scales in sorted(events):
        if scales:
            served += fleet.advance(at)
            fleet.scale(replicas)
        else:
            served += fleet.arrive(a_request(asked, at))
            asked += 1
    served += fleet.advance(10_000.0)
    assert sorted(each.request.number for _, each in served) == list(range(asked))
    assert fleet.unserved == 0
    assert len(fleet.pods) <= fleet.replicas
