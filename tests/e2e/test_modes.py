"""Recommend publishes and touches nothing; the cluster's kill switch works within seconds."""

from __future__ import annotations

import pytest
from harness.cluster import always, eventually
from harness.platform import Platform
from harness.room import OPERATOR, Room
from harness.workload import deployment, policy


def test_recommend_publishes_the_number_and_writes_nothing_to_the_target(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=1.5)
    room.apply(deployment(engine_image), policy(mode="Recommend"))
    room.wait_ready(1)
    eventually(lambda: room.status().get("replicas", {}).get("desired") == 2, "2 replicas recommended", 90)
    always(lambda: room.replicas() == 1, "the target is not touched", seconds=20)
    touched = [write for write in room.audit.writes(room.mark, OPERATOR, room.namespace) if write.group == "apps"]
    assert touched == []


@pytest.mark.disturbs
def test_the_kill_switch_stops_a_policy_in_apply_mode(room: Room, platform: Platform, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.3)
    room.apply(deployment(engine_image), policy())
    room.wait_ready(1)
    room.wait_trusted()
    with platform.max_mode("Recommend"):
        room.gpus.set(room.namespace, gpus=1.5)
        eventually(lambda: room.status().get("replicas", {}).get("desired") == 2, "still recommended", 60)
        always(lambda: room.replicas() == 1, "but not written", seconds=15)
    room.wait_replicas(2, seconds=60)
    assert room.replicas() == 2, "written once the switch was back"
