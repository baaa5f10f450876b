"""One writer at a time: a frozen leader that wakes up writes nothing, and a dead one is replaced."""

from __future__ import annotations

import os
import signal
import time

import pytest
from harness.cluster import eventually
from harness.platform import Platform
from harness.room import Room
from harness.workload import deployment, policy

FAILOVER_SECONDS = 20


@pytest.mark.disturbs
def test_a_leader_stopped_for_30_seconds_and_resumed_writes_nothing(
    room: Room, platform: Platform, engine_image: str
) -> None:
    room.gpus.set(room.namespace, gpus=0.2)
    room.apply(deployment(engine_image), policy())
    room.wait_ready(1)
    room.wait_trusted()
    leader = platform.leader()
    process = platform.process_of(leader)
    os.kill(process, signal.SIGSTOP)
    try:
        room.gpus.set(room.namespace, gpus=1.5)
        eventually(lambda: platform.leader() != leader, "another replica leads", FAILOVER_SECONDS + 5)
        room.wait_replicas(2, seconds=60)
        time.sleep(max(0.0, 30 - platform.seconds_since_failover()))
    finally:
        mark = room.audit.mark()
        os.kill(process, signal.SIGCONT)
    eventually(lambda: platform.restarted(leader, process), "the resumed process gives up", 60)
    written = [write for write in platform.writes_by_pod(mark, leader) if write.code < 400]
    assert written == [], "the old leader wrote after it woke up"


@pytest.mark.disturbs
def test_a_dead_leader_is_replaced_within_20_seconds(platform: Platform) -> None:
    leader = platform.leader()
    platform.kill_leader()
    died_at = time.time()
    eventually(lambda: platform.leader() != leader or platform.renewed_after(died_at), "somebody leads again", 30)
    took = time.time() - died_at
    print(f"failover: {took:.1f} s")
    assert took <= FAILOVER_SECONDS
