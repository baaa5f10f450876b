"""Targets and policies come and go; nothing dies of it."""

from __future__ import annotations

from harness.cluster import eventually
from harness.room import Room
from harness.workload import deployment, policy


def test_a_deleted_target_is_said_and_its_return_is_noticed(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.2)
    room.apply(policy())
    room.apply(deployment(engine_image))
    room.wait_condition("TargetResolved", "True", "Found")
    room.kubectl("delete", "deployment", "chat", "--wait=true")
    assert "chat" in room.wait_condition("TargetResolved", "False", "NotFound")
    room.apply(deployment(engine_image))
    room.wait_condition("TargetResolved", "True", "Found")


def test_a_deleted_policy_leaves_the_workload_as_it_is(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=1.5)
    room.apply(deployment(engine_image), policy())
    room.wait_replicas(2, seconds=120)
    room.kubectl("delete", "optimizationpolicy", "chat", "--wait=true", "--timeout=20s")
    mark = room.audit.mark()
    room.gpus.set(room.namespace, gpus=0.0)
    eventually(lambda: room.ready() == 2, "both pods stay", 60)
    assert room.writes("deployments/scale", since=mark) == []


def test_the_policys_row_shows_every_column_and_no_blank(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.4)
    room.apply(deployment(engine_image), policy())
    room.wait_ready(1)
    room.wait_trusted()
    eventually(lambda: room.status().get("phase") == "Validation", "the phases are walked through", 120)
    header, row = room.kubectl("get", "optpol").splitlines()
    assert header.split() == [
        "NAME", "PHASE", "MODE", "OBJECTIVES", "BOTTLENECK", "REPLICAS", "SAVING", "TRUSTED", "AGE",
    ]  # fmt: skip
    assert len(row.split()) == len(header.split()), row
