"""One replica is tuned on a real cluster: its old and new settings take turns under load, and the better ones stay."""

from __future__ import annotations

import pytest
from harness.answers import failures
from harness.cluster import eventually
from harness.engines import Engines
from harness.room import Room
from harness.traffic import Traffic
from harness.tuned import CPU_LIMIT, ENVIRONMENT, OVERLOAD, VERIFIED_PER_SECOND, batches, wish
from harness.workload import deployment, service

pytestmark = pytest.mark.disturbs

LARGEST_BATCH = 8
RULES = {"window": "75s", "maxWindow": "10m", "maxTrials": 1, "maxViolatingTrials": 1}
"""Five pairs of periods of 30 s are over at the third look, ten at the fourth and last; fewer if scrapes lag."""


@pytest.mark.timeout(1260)
def test_one_replica_alone_is_tuned_by_turns_of_its_old_and_new_settings(
    room: Room, traffic: Traffic, engine_image: str
) -> None:
    engines = Engines(room)
    poor = deployment(engine_image, replicas=1, gpus=0, cpu_limit=CPU_LIMIT, environment=ENVIRONMENT, attached=True)
    room.apply(poor, service(), wish(rules=RULES, batching=batches(LARGEST_BATCH)))
    room.wait_ready(1, seconds=180)
    rate = OVERLOAD * traffic.capacity(room.namespace)
    with traffic.answered(room.namespace, rate, seconds=1140, verified=VERIFIED_PER_SECOND) as answers:
        trial = engines.wait_trial("Measuring", after=set(), seconds=240)
        assert trial["spec"]["design"] == "Switchback"
        assert [pod["arm"] for pod in trial["spec"]["pods"]] == ["Canary"]
        assert "by Switchback" in room.condition("Progressing")[2]
        eventually(lambda: engines.setting("max_batch_size")[_pod(engines)] == 1, "the old settings had a turn", 120)
        name = trial["metadata"]["name"]
        trial = engines.wait_verdict(name, "Improved", seconds=780)
        engines.wait_setting("max_batch_size", LARGEST_BATCH, 1)
        outcomes = answers.outcomes()
    arms = [period["arm"] for period in trial["status"]["periods"]]
    assert min(arms.count("Canary"), arms.count("Stable")) >= 5
    assert "pairs of periods" in trial["status"]["reason"]
    assert failures(outcomes) == {}
    assert "Switchback" in room.trimtab("trials")
    print(trial["status"]["reason"], dict(outcomes))


def _pod(engines: Engines) -> str:
    (pod,) = engines.pods()
    return str(pod["metadata"]["name"])
