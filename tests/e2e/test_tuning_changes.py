"""Trials that do not end well, and what comes in their way. The scenarios go on from each other, in this order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.kube_conformance import trial_body
from harness.answers import Answers, failures
from harness.cluster import always, eventually
from harness.engines import Engines, canary_of, names, quietly
from harness.room import Room
from harness.traffic import Traffic
from harness.tuned import GOOD_CACHE, GOOD_CACHE_BYTES, VERIFIED_PER_SECOND, Tuned, batches, wish
from harness.workload import deployment

LOAD, LIGHT_LOAD = 0.43, 0.15
"""Of what the engines are overloaded with before they are tuned."""
RUN_IN_SECONDS = 80.0
"""Of load before a trial: what the arms were like before the change is a part of its verdict."""
PYTHON = "/opt/trimtab/bin/python"
BURNER = "trimtab-e2e-burner"
BURN = (
    "import os, time\n"
    "for _ in range(3):\n"
    "    if os.fork() == 0:\n"
    "        os.setsid()\n"
    "        null = os.open('/dev/null', os.O_RDWR)\n"
    "        [os.dup2(null, number) for number in (0, 1, 2)]\n"
    "        end = time.time() + 400\n"
    "        while time.time() < end:\n"
    "            pass\n"
    "        os._exit(0)\n"
)
QUENCH = (
    "import os, pathlib\n"
    "for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
    "    process = int(path.parent.name)\n"
    f"    if process != os.getpid() and b'{BURNER}' in path.read_bytes():\n"
    "        os.kill(process, 9)\n"
)


@pytest.fixture(scope="module")
def crowd(_tuned: Tuned, traffic: Traffic) -> Iterator[Answers]:
    """Load over the whole of the first scenarios, with a part whose every answer is checked."""
    with traffic.answered(
        _tuned.room.namespace, LOAD * _tuned.rate, seconds=660, verified=VERIFIED_PER_SECOND
    ) as answers:
        yield answers


@pytest.fixture
def light_load(tuned: Tuned, traffic: Traffic) -> Iterator[None]:
    """Load enough for a trial to begin, of which nothing is asked."""
    with traffic.steady(tuned.room.namespace, LIGHT_LOAD * tuned.rate):
        yield


@pytest.mark.timeout(540)
def test_a_trial_that_makes_things_worse_is_rolled_back_to_the_last_good_settings(tuned: Tuned, crowd: Answers) -> None:
    """What makes it worse are processes that take most of the canary's CPU from the moment it has the change.

    They must do much: busy time is wall time, which doubles and halves from slot to slot where the CPU limit is small.
    """
    assert crowd
    room, engines = tuned.room, tuned.engines
    enough = engines.answered() + 0.5 * LOAD * tuned.rate * RUN_IN_SECONDS
    eventually(quietly(lambda: engines.answered() >= enough), "both pods were under load for a run-in", 180)
    before = names(engines.trials())
    tuned.turn(batching=batches(2))
    trial = engines.wait_trial("Measuring", after=before)
    canary = canary_of(trial)["name"]
    assert engines.setting("max_batch_size")[canary] == 2, "what is measured is in force"
    room.kubectl("exec", canary, "--", PYTHON, "-c", BURN, BURNER)
    try:
        trial = engines.wait_verdict(trial["metadata"]["name"], "Regressed", seconds=300)
    finally:
        room.kubectl("exec", canary, "--", PYTHON, "-c", QUENCH)
    assert any("RollingBack" in message for message in room.events("PhaseChanged"))
    assert "RolledBack" in [row["what"] for row in room.status()["history"]]
    engines.wait_setting("max_batch_size", 1, 2)
    engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 2)
    good = room.status()["lastKnownGood"]
    assert (good["trial"], good["settings"]["cacheMemory"]) == (tuned.trial, GOOD_CACHE)
    assert not any("trial" in entry for entry in engines.entries().values())


def test_a_second_policy_on_the_target_is_a_conflict_and_tries_nothing(tuned: Tuned) -> None:
    room = tuned.room
    room.apply(wish("rival", batching=batches(2)))
    message = room.wait_condition("Conflict", "True", "TargetTaken", name="rival")
    assert "chat" in message
    always(
        lambda: not [trial for trial in tuned.engines.trials() if trial["spec"]["policy"] == "rival"],
        "the rival tries nothing",
        seconds=15,
        every=3.0,
    )
    room.kubectl("delete", "optpol", "rival", "--wait=true", "--timeout=20s")


@pytest.mark.timeout(420)
def test_when_the_policy_is_deleted_in_mid_trial_the_canary_goes_back_and_what_was_promoted_stays(
    tuned: Tuned,
) -> None:
    room, engines = tuned.room, tuned.engines
    before = names(engines.trials())
    tuned.turn(batching=batches(4))
    trial = engines.wait_trial("Measuring", after=before)
    canary = canary_of(trial)
    assert engines.entries()[canary["uid"]]["fallback"]["cacheMemory"] == GOOD_CACHE
    assert engines.setting("max_batch_size")[canary["name"]] == 4, "what is measured is in force"
    room.kubectl("delete", "optpol", "chat", "--wait=true", "--timeout=20s")
    engines.wait_setting("max_batch_size", 1, 2, seconds=60)
    engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 2, seconds=30)
    assert not any("trial" in entry for entry in engines.entries().values())
    eventually(lambda: engines.trials() == [], "its trials go with it", 60)


def test_no_request_failed_in_all_that_and_every_answer_was_to_its_own_input(crowd: Answers) -> None:
    outcomes = crowd.outcomes()
    print(f"answers: {dict(outcomes)}")
    assert failures(outcomes) == {}


@pytest.mark.timeout(420)
@pytest.mark.usefixtures("light_load")
def test_a_canary_that_goes_in_mid_trial_makes_it_inconclusive_and_is_charged_to_nobody(tuned: Tuned) -> None:
    room, engines = tuned.room, tuned.engines
    room.apply(wish(batching=batches(2)))
    trial = engines.wait_trial("Measuring", after=set())
    engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 2, seconds=10)
    canary = canary_of(trial)["name"]
    room.kubectl("delete", "pod", canary, "--wait=false")
    over = engines.wait_verdict(trial["metadata"]["name"], "Inconclusive", seconds=60)
    assert canary in over["status"]["reason"]
    assert over["status"].get("violations", 0) == 0
    assert "change" not in room.status()["tuning"]


@pytest.mark.timeout(420)
@pytest.mark.usefixtures("light_load")
def test_a_new_template_in_mid_trial_ends_it_as_target_changed_without_a_write_of_ours_to_the_canary(
    tuned: Tuned,
) -> None:
    room, engines = tuned.room, tuned.engines
    eventually(lambda: len(engines.pods()) == 2, "two pods serve again", 120)
    before = names(engines.trials())
    tuned.turn(batching=batches(4))
    trial = engines.wait_trial("Measuring", after=before)
    canary = canary_of(trial)
    entry = engines.entries()[canary["uid"]]
    mark, others = room.audit.mark(), {pod["metadata"]["uid"] for pod in engines.pods()}
    template = {"spec": {"template": {"metadata": {"annotations": {"note": "a new image, as it were"}}}}}
    room.kubectl("patch", "deployment", "chat", "--type=merge", "-p", json.dumps(template))
    engines.wait_verdict(trial["metadata"]["name"], "TargetChanged", seconds=60)
    eventually(lambda: any(text.endswith("Discovery") for text in room.events("PhaseChanged")), "Discovery", 60)
    eventually(
        lambda: len(pods := engines.pods()) == 2 and not others & {pod["metadata"]["uid"] for pod in pods},
        "the new pods serve",
        180,
    )
    assert [written for written in engines.asked(canary["uid"], mark) if written != entry] == []


def test_of_more_than_twenty_trials_the_oldest_is_removed(room: Room, engine_image: str) -> None:
    """Trials of a policy that does not know yet what is normal: no search needs them any more."""
    room.apply(deployment(engine_image, gpus=0, replicas=0), wish(batching=batches(2)))
    owner = room.cluster.get("optimizationpolicy", "chat", room.namespace)
    assert owner
    for number in range(1, 22):
        name = f"chat-{number}"
        room.apply(_ended(room.namespace, name, owner))
        patch = json.dumps({"status": {"phase": "Finished", "verdict": "Inconclusive"}})
        room.kubectl("patch", "opttrial", name, "--subresource=status", "--type=merge", "-p", patch)
    engines = Engines(room)
    eventually(lambda: len(engines.trials()) == 20, "one of them is removed", 60)
    assert "chat-1" not in names(engines.trials())
    removed = [write.name for write in room.writes("optimizationtrials") if write.verb == "delete" and write.code < 400]
    assert removed == ["chat-1"]


def _ended(namespace: str, name: str, policy: dict[str, Any]) -> dict[str, Any]:
    body = trial_body(namespace, name)
    owner = {key: policy[key] for key in ("apiVersion", "kind")}
    owner |= {key: policy["metadata"][key] for key in ("name", "uid")}
    body["metadata"] |= {"labels": {"trimtab.dev/policy": owner["name"]}, "ownerReferences": [owner]}
    return {**body, "spec": {**body["spec"], "policy": owner["name"]}}
