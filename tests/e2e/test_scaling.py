"""Real load on real pods: up at once, down only after the stabilisation time, within the bounds."""

from __future__ import annotations

import time

from harness.cluster import always, eventually
from harness.room import Room
from harness.traffic import Traffic
from harness.workload import deployment, policy, service

CPU_LIMIT = "300m"
STABILIZATION_SECONDS = 20
LOAD = 0.27
STEP = 4
"""One replica carries the load and not four times as much, with .2 to spare, also where a request takes twice the CPU
time that it took when it was measured what a replica answers one by one: what runs beside the replica (this test's own
questions to the API server, too) was seen to slow it by so much."""


def test_fourfold_load_adds_a_replica_and_a_quarter_takes_it_only_after_stabilisation(
    room: Room, traffic: Traffic, engine_image: str
) -> None:
    room.apply(deployment(engine_image, gpus=0, cpu_limit=CPU_LIMIT), service(), policy())
    room.wait_ready(1, seconds=180)
    base = LOAD * traffic.capacity(room.namespace, callers=1)
    with traffic.steady(room.namespace, rate=base) as load:
        room.wait_trusted()
        always(lambda: room.replicas() == 1, "one replica carries that", seconds=20)
        load.rate(STEP * base)
        stepped_at = time.time()
        eventually(lambda: room.replicas() >= 2, "a second replica for four times the load", seconds=60)
        asked_at = room.writes("deployments/scale")[0].at
        print(f"load step -> new replica asked for: {asked_at - stepped_at:.1f} s")
        room.wait_ready(2, seconds=180)
        before_fall = room.audit.mark()
        load.rate(base)
        fell_at = time.time()
        room.wait_replicas(1, seconds=150)
    downs = room.writes("deployments/scale", since=before_fall)
    assert downs, "the fall was not written by us"
    assert downs[-1].at - fell_at >= STABILIZATION_SECONDS
    assert room.status()["history"], "every write of ours is in the ledger"


def test_replicas_stay_within_the_bounds_of_the_policy(room: Room, engine_image: str) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 2, "stabilization": "20s", "maxStep": 4}
    room.gpus.set(room.namespace, gpus=10)
    room.apply(deployment(engine_image), policy(scaling=scaling))
    room.wait_replicas(2, seconds=120)
    room.wait_ready(2)
    always(lambda: room.replicas() == 2, "never above maxReplicas", seconds=20)
    assert room.status()["replicas"]["uncapped"] > 2
    room.gpus.set(room.namespace, gpus=0)
    room.wait_replicas(1, seconds=150)
    always(lambda: room.replicas() == 1, "never below minReplicas", seconds=15)


def test_a_replica_that_cannot_be_scheduled_is_taken_back_and_said(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.2)
    room.apply(deployment(engine_image, requests={"memory": "13Gi"}), policy())
    room.wait_ready(1)
    room.wait_trusted()
    room.gpus.set(room.namespace, gpus=5)
    eventually(lambda: room.replicas() > 1, "asked for more", seconds=60)
    room.wait_replicas(1, seconds=180)
    constraints = {constraint["name"] for constraint in room.status().get("constraints", [])}
    reasons = {room.condition("Progressing")[1], room.status()["replicas"]["reason"], *constraints}
    assert any("nschedulable" in reason for reason in reasons), reasons
