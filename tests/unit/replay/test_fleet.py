"""The simulated Deployment: orders, starts, drains, nodes, and that no request is lost meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_replay.fleet import Fleet, FleetPlan
from trimtab_replay.serving import ServingModel
from trimtab_replay.trace import Trace

MODEL = ServingModel(step_seconds=0.01, sequence_seconds=0.001, prompt_token_seconds=0.0001)
PLAN = FleetPlan(MODEL, startup_seconds=60.0, gpus=2)


def requests(*arrived: float, output: int = 100) -> Trace:
    count = len(arrived)
    return Trace(np.array(arrived, float), np.full(count, 100.0), np.full(count, float(output)))


def a_fleet(replicas: int, *arrived: float, plan: FleetPlan = PLAN, output: int = 100) -> Fleet:
    return Fleet(plan, replicas, requests(*arrived, output=output))


def serving(fleet: Fleet) -> list[bool]:
    return [pod.serves for pod in fleet.pods]


def test_a_pod_that_was_ordered_serves_after_its_start_and_costs_from_its_order() -> None:
    fleet = a_fleet(1)
    fleet.scale(2)
    fleet.advance(59.0)
    assert serving(fleet) == [True, False]
    fleet.advance(60.0)
    assert serving(fleet) == [True, True]
    assert fleet.gpu_seconds == pytest.approx(60.0 * 2 * 2)


def test_requests_go_where_the_fewest_are_and_wait_while_nobody_serves() -> None:
    fleet = a_fleet(2, 0.0, 0.0, 0.0, 0.0)
    fleet.advance(0.0)
    assert [fleet.outstanding(pod) for pod in fleet.pods] == [2, 2]
    nobody = a_fleet(0, 0.0)
    nobody.advance(1.0)
    assert (nobody.unserved, nobody.gateway_waiting) == (1, 1)
    nobody.scale(1)
    nobody.advance(60.0)
    assert nobody.gateway_waiting == 1
    nobody.advance(100.0)
    assert nobody.answers().queue_seconds == pytest.approx([61.0])


def test_a_pod_that_is_removed_ends_what_it_has_and_takes_nothing_new() -> None:
    fleet = a_fleet(2, 0.0, 0.0, 1.0, output=1000)
    fleet.advance(0.5)
    fleet.scale(1)
    fleet.advance(1.0)
    assert [fleet.outstanding(pod) for pod in fleet.pods] == [2, 1]
    fleet.advance(100.0)
    assert (fleet.ended, len(fleet.pods)) == (3, 1)


def test_what_still_starts_is_removed_before_what_serves_and_what_has_no_node_first() -> None:
    fleet = a_fleet(1, plan=FleetPlan(MODEL, startup_seconds=60.0, nodes=2))
    fleet.scale(3)
    assert [pod.scheduled for pod in fleet.pods] == [True, True, False]
    fleet.scale(2)
    assert [pod.scheduled for pod in fleet.pods] == [True, True]
    fleet.scale(1)
    assert [pod.serves for pod in fleet.pods] == [True]


def test_a_pod_without_a_node_costs_nothing_and_starts_when_one_is_free() -> None:
    fleet = a_fleet(1, plan=FleetPlan(MODEL, startup_seconds=10.0, nodes=1))
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
    asked = sorted(at for at, _, scales in events if not scales)
    fleet = a_fleet(1, *asked, plan=FleetPlan(MODEL, startup_seconds=20.0, nodes=3))
    for at, replicas, scales in sorted(events):
        if scales:
            fleet.advance(at)
            fleet.scale(replicas)
    fleet.advance(9_000.0)
    fleet.advance(10_000.0)
    assert sorted(fleet.answers().arrived.tolist()) == asked
    assert fleet.unserved == 0
    assert len(fleet.pods) <= fleet.replicas


def test_there_is_room_for_any_number_of_pods_that_come_and_go() -> None:
    fleet = a_fleet(1, *range(100))
    for at in range(100):
        fleet.advance(float(at))
        fleet.scale(1 + at % 2)
    fleet.advance(1000.0)
    assert fleet.rows >= 51
    assert fleet.ended == 100
