"""One replica of a real cluster gets another for a trial: its cache is tried there, or it never finds a node."""

from __future__ import annotations

from typing import Any

import pytest
from harness.cluster import always, eventually
from harness.engines import Engines, canary_of, names, quietly
from harness.room import Room
from harness.traffic import Traffic
from harness.tuned import CPU_LIMIT, ENVIRONMENT, GOOD_CACHE, GOOD_CACHE_BYTES
from harness.workload import deployment, policy, service

from dev.load.plan import Keys

pytestmark = pytest.mark.disturbs

LOAD = 0.35
"""Of what the replica answers at most: one carries it, also where the machine takes twice the time for a request."""
CALM_SECONDS = 40.0
"""Of this load before the policy comes: the burst that measured the rate would ask for a replica by itself."""
FEW_PER_SECOND = 8.0
RULES = {"window": "40s", "maxWindow": "80s", "minRequests": 50, "maxTrials": 1, "maxViolatingTrials": 1}
SCALING = {"minReplicas": 1, "maxReplicas": 2, "stabilization": "20s", "maxStep": 1}


def wish() -> dict[str, Any]:
    """A policy that may turn the cache, and have a second replica."""
    return policy(objectives=None, knobs={"cache": {"memory": {"max": GOOD_CACHE}}}, trial=RULES, scaling=SCALING)


@pytest.mark.timeout(600)
def test_the_cache_of_one_replica_is_tried_on_one_more_which_then_goes_again(
    room: Room, traffic: Traffic, engine_image: str
) -> None:
    engines = Engines(room)
    poor = deployment(engine_image, gpus=0, cpu_limit=CPU_LIMIT, environment=ENVIRONMENT, attached=True)
    room.apply(poor, service())
    room.wait_ready(1, seconds=180)
    rate = LOAD * traffic.capacity(room.namespace)
    with traffic.answered(room.namespace, rate, seconds=480, verified=1.0, keys=Keys.FEW):
        calm = engines.answered() + rate * CALM_SECONDS
        eventually(quietly(lambda: engines.answered() >= calm), "what measured the rate is no load any more", 120)
        first = engines.pods()[0]["metadata"]["name"]
        room.apply(wish())
        room.wait_replicas(2, seconds=120)
        trial = engines.wait_trial("Measuring", after=set(), seconds=240)
        assert trial["spec"]["design"] == "Surge"
        assert canary_of(trial)["name"] != first
        engines.wait_verdict(trial["metadata"]["name"], "Improved", seconds=240)
        room.wait_replicas(1, seconds=60)
        engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 1)
    eventually(lambda: _reasons(room) == ["Surge", "Utilization"], "both writes are in the ledger", 30)
    assert len(room.writes("deployments/scale")) == 2
    assert names(engines.trials()) == {trial["metadata"]["name"]}
    assert "Surge" in room.trimtab("trials")
    print(engines.trial(trial["metadata"]["name"])["status"]["reason"])


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
