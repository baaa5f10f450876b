"""Last, because they look back over the whole run: what was written, and which verbs were used."""

from __future__ import annotations

import time

import pytest
from harness.cluster import eventually
from harness.platform import Platform, Steady
from harness.room import OPERATOR, Room
from harness.workload import deployment

from trimtab_replay.replay import replay

STEADY_SECONDS = 600
FEWEST_TICKS = 120
# The API server asks for these itself when a certificate request is answered: no request of theirs is in the log.
CHECKED_WITHIN = {("certificates.k8s.io", "signers", "approve"), ("certificates.k8s.io", "signers", "sign")}


@pytest.mark.timeout(1200)
def test_ten_steady_minutes_write_nothing_but_the_lease(steady: Steady) -> None:
    rest = steady.begins + STEADY_SECONDS - time.time()
    if rest > 0:
        print(f"waiting {rest:.0f} s for ten steady minutes to pass")
        time.sleep(rest)
    written = steady.room.audit.writes(steady.room.mark, OPERATOR, steady.room.namespace)
    assert written, "the policy was reported before"
    assert [write for write in written if write.at >= steady.begins] == []


def test_the_same_news_much_later_is_counted_on_its_event(orphan: Room, engine_image: str) -> None:
    orphan.apply(deployment(engine_image, gpus=0))
    orphan.wait_condition("TargetResolved", "True", "Found")
    orphan.kubectl("delete", "deployment", "chat", "--wait=true")
    orphan.wait_condition("TargetResolved", "False", "NotFound")
    eventually(lambda: _counts(orphan) >= 2, "the Event of the missing target is counted up", 30)
    assert _counts(orphan) >= 2


def _counts(room: Room) -> int:
    events = room.cluster.objects("events", room.namespace, "--field-selector", "involvedObject.name=chat")
    return max(event.get("count") or 1 for event in events if event.get("reportingComponent") == "trimtab.dev/operator")


def test_every_tick_that_was_recorded_replays_to_the_identical_step(platform: Platform) -> None:
    """Of every policy of the whole run, as far as pods of the operator are left that lived it."""
    lines = [line for pod in platform.operator_pods() for line in platform.recorded(pod)]
    results = list(replay(lines))
    print(f"{len(results)} ticks replayed")
    assert len(results) >= FEWEST_TICKS
    assert [str(difference) for _, differences in results for difference in differences] == []


def test_the_verbs_that_were_granted_are_the_verbs_that_were_used(platform: Platform) -> None:
    granted, used = platform.granted_verbs(), platform.used_verbs()
    assert used - granted == set(), "used without a grant"
    assert granted - used == CHECKED_WITHIN, "granted and never used"
