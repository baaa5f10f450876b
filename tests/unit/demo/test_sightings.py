"""Replica-seconds: who counts as paid and as ready, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from dev.demo.sightings import PodSight, Sighting, pod_sight, replica_time

SERVING = PodSight("a", bound=True, ready=True, ending=False)
STARTING = PodSight("b", bound=True, ready=False, ending=False)
WAITING = PodSight("c", bound=False, ready=False, ending=False)
ENDING = PodSight("d", bound=True, ready=True, ending=True)


def sighting(at: float, *pods: PodSight, desired: int = 1) -> Sighting:
    return Sighting(at, desired, pods)


def a_pod(phase: str = "Running", ready: str = "True", node: str = "node", **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "a", **metadata},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        pytest.param(a_pod(), SERVING, id="serving"),
        pytest.param(a_pod("Pending", "False"), PodSight("a", True, False, False), id="starting"),
        pytest.param(a_pod("Pending", "False", node=""), PodSight("a", False, False, False), id="unschedulable"),
        pytest.param(a_pod("Failed", "False"), PodSight("a", False, False, False), id="failed"),
        pytest.param(a_pod(deletionTimestamp="now"), PodSight("a", True, True, True), id="ending"),
    ],
)
def test_a_pod_is_read_as_the_api_server_gives_it(pod: dict[str, Any], expected: PodSight) -> None:
    assert pod_sight(pod) == expected


def test_a_pod_is_paid_from_its_binding_to_its_end_and_ready_only_while_it_takes_traffic() -> None:
    seen = sighting(0, SERVING, STARTING, WAITING, ENDING)
    assert seen.paid == 3
    assert seen.ready == 1


def test_each_sighting_holds_until_the_next_and_only_inside_the_arm() -> None:
    seen = [
        sighting(90, SERVING, desired=1),
        sighting(110, SERVING, STARTING, desired=2),
        sighting(115, SERVING, PodSight("b", True, True, False), desired=2),
        sighting(130, SERVING, desired=1),
    ]
    found = replica_time(seen, 100, 120)
    assert found.paid_seconds == pytest.approx(10 * 1 + 5 * 2 + 5 * 2)
    assert found.ready_seconds == pytest.approx(10 * 1 + 5 * 1 + 5 * 2)
    assert (found.smallest, found.largest) == (1, 2)


def test_the_first_sighting_speaks_for_the_time_before_it() -> None:
    assert replica_time([sighting(105, SERVING)], 100, 120).paid_seconds == pytest.approx(20)


def test_an_arm_that_nobody_looked_at_has_no_replica_time() -> None:
    with pytest.raises(ValueError, match="nobody looked"):
        replica_time([sighting(130, SERVING)], 100, 120)
