"""The leader is killed between two of its writes, whichever: what comes of it is what comes of it unkilled."""

from __future__ import annotations

import pytest
from harness.cluster import always, eventually
from harness.denial import Denial
from harness.gaps import LEDGER, SCALE, denied
from harness.platform import Platform
from harness.room import Room

pytestmark = pytest.mark.disturbs

MORE_GPUS = 0.3
"""Of load beyond what the replicas of now have: one replica more has room for it."""


@pytest.mark.parametrize(
    "gap",
    [
        pytest.param(None, id="nowhere"),
        pytest.param(SCALE, id="after the intent is stored and before the replicas are written"),
        pytest.param(LEDGER, id="after the replicas are written and before the ledger says so"),
    ],
)
def test_a_scaling_is_written_once_and_noted_once_though_the_leader_is_killed(
    scaled: Room, platform: Platform, gap: Denial | None
) -> None:
    before, noted, mark = scaled.replicas(), scaled.status().get("history", []), scaled.audit.mark()
    if gap is None:
        scaled.gpus.set(scaled.namespace, gpus=before + MORE_GPUS)
    else:
        with denied(scaled, gap) as reached:
            scaled.gpus.set(scaled.namespace, gpus=before + MORE_GPUS)
            reached.wait()
            intent = scaled.status()["intent"]
            platform.lose_leader()
    scaled.wait_replicas(before + 1, seconds=90)
    eventually(lambda: "intent" not in scaled.status(), "the intent is over", 60)
    scaled.wait_ready(before + 1)
    always(lambda: scaled.replicas() == before + 1, "that was all", seconds=6)
    (entry,) = scaled.status()["history"][len(noted) :]
    assert (entry["what"], entry["from"], entry["to"]) == ("Scaled", str(before), str(before + 1))
    assert gap is None or entry["id"] == intent["id"]
    assert [write.code for write in scaled.writes("deployments/scale", mark) if write.code < 400] == [200]
