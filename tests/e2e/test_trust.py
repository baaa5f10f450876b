"""Without metrics nothing is written, and the user reads why."""

from __future__ import annotations

import pytest
from harness.cluster import always
from harness.prometheus import Prometheus
from harness.room import Room
from harness.workload import deployment, policy


@pytest.mark.disturbs
def test_a_dead_prometheus_at_low_load_is_said_writes_nothing_and_recovers(
    room: Room, prometheus: Prometheus, engine_image: str
) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 3, "stabilization": "15s"}
    room.gpus.set(room.namespace, gpus=1.4)
    room.apply(deployment(engine_image), policy(scaling=scaling))
    room.wait_ready(2, seconds=180)
    room.gpus.set(room.namespace, gpus=0.1)
    with prometheus.stopped():
        room.wait_condition("MetricsTrusted", "False", "QueryFailed", seconds=60)
        mark = room.audit.mark()
        always(lambda: room.replicas() == 2, "no replica is taken blindly", seconds=30)
        assert room.writes("deployments/scale", since=mark) == []
    room.wait_trusted()
    room.wait_replicas(1, seconds=150)


def test_a_target_that_nobody_scrapes_is_reported_as_no_data_and_left_alone(room: Room, engine_image: str) -> None:
    unseen = deployment(engine_image, gpus=0, replicas=None)
    unseen["spec"]["template"]["metadata"]["annotations"] = {}
    room.apply(unseen, policy())
    room.wait_ready(1)
    message = room.wait_condition("MetricsTrusted", "False", "NoData", seconds=120)
    assert message
    always(lambda: room.writes("deployments/scale") == [], "nothing is scaled without data", seconds=10)
