"""One replica of a real cluster asks for another for a trial, and no node has room for it.

That one is tried and goes again is told through the fakes (tests/loop/test_surge.py): it takes six minutes here.
"""

from __future__ import annotations

from typing import Any

import pytest
from harness.cluster import always, eventually
from harness.engines import Engines
from harness.room import Room
from harness.traffic import Traffic
from harness.tuned import GOOD_CACHE
from harness.workload import deployment, policy, service

from dev.load.plan import Keys

pytestmark = pytest.mark.disturbs

FEW_PER_SECOND = 8.0
RULES = {"window": "40s", "maxWindow": "80s", "minRequests": 50, "maxTrials": 1, "maxViolatingTrials": 1}
SCALING = {"minReplicas": 1, "maxReplicas": 2, "stabilization": "20s", "maxStep": 1}


def wish() -> dict[str, Any]:
    """A policy that may turn the cache, and have a second replica."""
    return policy(objectives=None, knobs={"cache": {"memory": {"max": GOOD_CACHE}}}, trial=RULES, scaling=SCALING)


def test_one_more_that_finds_no_node_is_taken_back_said_and_not_asked_for_again(
    room: Room, traffic: Traffic, engine_image: str
) -> None:
    room.apply(deployment(engine_image, gpus=0, requests={"memory": "13Gi"}, attached=True), service(), wish())
    room.wait_ready(1)
    with traffic.answered(room.namespace, FEW_PER_SECOND, seconds=360, verified=1.0, keys=Keys.FEW):
        room.wait_replicas(2, seconds=120)
        room.wait_replicas(1, seconds=120)
        said = eventually(lambda: _constraints(room).get("NoRoomForSurge"), "what keeps the cache from being tried", 30)
        always(lambda: room.replicas() == 1, "it is not asked for again", seconds=20)
    assert "Unschedulable" in str(said)
    assert _reasons(room) == ["Surge", "Unschedulable"]
    assert Engines(room).trials() == []


def _reasons(room: Room) -> list[str]:
    """Why the replicas were scaled, as the ledger says."""
    return [entry["why"].partition(":")[0] for entry in room.status()["history"] if entry["what"] == "Scaled"]


def _constraints(room: Room) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in room.status().get("constraints", [])}
