"""A load that has become another one is measured anew, and the policy says why."""

from __future__ import annotations

from harness.cluster import eventually
from harness.room import Room
from harness.traffic import Traffic
from harness.workload import deployment, policy, service

RATE = 6.0
"""Requests per second: the hundred that a change of load is told by come well within the window."""
LONGER = 4


def test_inputs_four_times_longer_lead_back_to_discovery_and_to_a_new_baseline(
    room: Room, traffic: Traffic, engine_image: str
) -> None:
    room.apply(deployment(engine_image, gpus=0), service())
    room.wait_ready(1, seconds=180)
    with traffic.steady(room.namespace, rate=RATE) as load:
        room.apply(policy(scaling=None, objectives=None))
        eventually(lambda: room.status().get("phase") == "Validation", "it is known what is normal", 120)
        before = float(room.status()["baseline"]["inputTokens"])
        load.length(LONGER)
        eventually(lambda: room.events("LoadChanged"), "the change of load is noticed", 120)
        eventually(lambda: room.status()["phase"] == "Validation", "it is known again what is normal", 60)
    status = room.status()
    after = float(status["baseline"]["inputTokens"])
    print(f"tokens of an input: {before:g} before, {after:g} after")
    assert 0.7 * LONGER < after / before < 1.3 * LONGER
    assert "Validation → Discovery" in room.events("PhaseChanged")
    (entry,) = (row for row in status["history"] if row["what"] == "LoadChanged")
    assert "tokens" in entry["why"]
