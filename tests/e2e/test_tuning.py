"""A trial that helps, through deaths of the leader and a new authority; and what stays when nobody is there."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from harness.answers import failures
from harness.cluster import Cluster, always, eventually
from harness.engines import canary_of, quietly
from harness.gpus import SimulatedGpus
from harness.platform import NAMESPACE, Platform
from harness.traffic import Traffic
from harness.tuned import CACHE_AT_START_BYTES, GOOD_CACHE, GOOD_CACHE_BYTES, VERIFIED_PER_SECOND, Tuned
from harness.wire import trusted, vouches

from dev.load.outcomes import Outcome

pytestmark = pytest.mark.disturbs

DOWN_SECONDS = 60
NOWHERE = "trimtab.dev/e2e-nowhere"


def test_a_trial_that_helps_is_rolled_out_though_the_leader_is_killed_before_each_step(tuned: Tuned) -> None:
    trial, status = tuned.engines.trial(tuned.trial), tuned.room.status()
    assert len(tuned.engines.trials()) == 1
    assert trial["spec"]["change"] == {"knob": "cacheMemory", "from": "0", "to": GOOD_CACHE}
    assert trial["status"]["approvedBy"].startswith("kubectl")
    assert status["tuning"]["settings"]["cacheMemory"] == GOOD_CACHE
    assert "change" not in status["tuning"]
    assert status["lastKnownGood"]["trial"] == tuned.trial
    ledger = [row["what"] for row in status["history"]]
    assert sorted(ledger) == ["RolledOut", "TrialEnded", "TrialStarted"]
    assert tuned.engines.setting("cache_limit_bytes") == {
        pod["metadata"]["name"]: float(GOOD_CACHE_BYTES) for pod in tuned.engines.pods()
    }
    entries = list(tuned.engines.entries().values())
    assert [entry["settings"]["cacheMemory"] for entry in entries] == [GOOD_CACHE, GOOD_CACHE]
    assert not any("trial" in entry for entry in entries)


def test_each_step_was_written_once_though_the_leader_was_killed_before_it(tuned: Tuned) -> None:
    created = [write.code for write in tuned.room.writes("optimizationtrials") if write.verb == "create"]
    assert created == [201]
    canary = canary_of(tuned.engines.trial(tuned.trial))["uid"]
    as_started, on_trial, promoted = (None, None), (GOOD_CACHE, tuned.trial), (GOOD_CACHE, None)
    for pod in tuned.engines.pods():
        uid = pod["metadata"]["uid"]
        asked = [(entry["settings"].get("cacheMemory"), entry.get("trial")) for entry in tuned.engines.asked(uid)]
        assert asked == ([as_started, on_trial, promoted] if uid == canary else [as_started, promoted])


def test_no_request_failed_in_it_and_every_answer_was_to_its_own_input(tuned: Tuned) -> None:
    assert failures(tuned.outcomes) == {}
    assert tuned.outcomes[Outcome.OK] > 1000
    print(f"answers: {dict(tuned.outcomes)}")


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("opttrial", ["NAME", "POLICY", "CHANGE", "DESIGN", "PREDICTED", "OBSERVED", "VERDICT", "AGE"]),
        ("nodetune", ["NAME", "APPLIED", "AGE"]),
    ],
)
def test_the_rows_show_every_column_and_no_blank(tuned: Tuned, kind: str, columns: list[str]) -> None:
    header, *rows = tuned.room.kubectl("get", kind).splitlines()
    assert header.split() == columns
    begins = [header.index(column) for column in columns]
    assert rows
    for row in rows:
        cells = [row[start:end].strip() for start, end in zip(begins, [*begins[1:], None], strict=True)]
        assert all(cells), row
        assert not {"<none>", "<unknown>", "Unknown"} & set(cells), row


def test_an_authority_rotated_under_that_load_reached_agents_and_engines_without_a_restart(
    tuned: Tuned, cluster: Cluster
) -> None:
    room, engines = tuned.room, tuned.engines
    (agent,) = cluster.objects("pods", NAMESPACE, "-l", "app.kubernetes.io/component=agent")
    address = agent["status"]["podIP"]
    eventually(lambda: not vouches(tuned.trusted, address), "the agent's certificate is of the new authority", 120)
    assert vouches(trusted(cluster, room.namespace), address), "what is published vouches for it"
    eventually(quietly(engines.attached), "every engine is attached", 60)
    pods = [*engines.pods(), agent]
    assert all(status["restartCount"] == 0 for pod in pods for status in pod["status"]["containerStatuses"])


def test_the_plugin_shows_what_was_tried_and_why(tuned: Tuned) -> None:
    room = tuned.room
    assert f"cacheMemory 0→{GOOD_CACHE}" in room.trimtab("trials")
    assert "chat" in room.trimtab("status")
    assert f"trial {tuned.trial}" in room.trimtab("explain", "chat")


def test_a_person_goes_back_with_one_command_and_nothing_is_tried_until_they_resume(tuned: Tuned) -> None:
    room = tuned.room

    def held() -> bool:
        return "RolledBackByUser" in {row["name"] for row in room.status().get("constraints", [])}

    room.trimtab("rollback", "chat", "--to", tuned.trial)
    eventually(held, "the policy says that a person holds it", 60)
    assert room.status()["tuning"]["settings"]["cacheMemory"] == GOOD_CACHE
    room.trimtab("rollback", "chat", "--resume")
    eventually(lambda: not held(), "the policy goes on", 60)


@pytest.mark.timeout(600)
def test_settings_stay_while_operator_and_agents_are_down_for_60_seconds_and_a_new_pod_is_tuned_after(
    tuned: Tuned, cluster: Cluster, platform: Platform, traffic: Traffic
) -> None:
    engines, room = tuned.engines, tuned.room
    before = {pod["metadata"]["name"] for pod in engines.pods()}
    with traffic.answered(room.namespace, 0.5 * tuned.rate, seconds=240, verified=VERIFIED_PER_SECOND) as answers:
        with _nobody_there(cluster, room.gpus):
            room.kubectl("scale", "deployment", "chat", "--replicas=3")
            began = time.monotonic()
            room.wait_ready(3, seconds=60)
            (new,) = {pod["metadata"]["name"] for pod in engines.pods()} - before
            rest = DOWN_SECONDS - (time.monotonic() - began)
            always(
                lambda: (
                    engines.setting("cache_limit_bytes")
                    == {**dict.fromkeys(before, GOOD_CACHE_BYTES), new: CACHE_AT_START_BYTES}
                ),
                "the tuned ones stay tuned, the new one runs as it was started",
                seconds=max(10.0, rest),
                every=5.0,
            )
        eventually(platform.leader, "an operator leads again", 90)
        engines.wait_setting("cache_limit_bytes", GOOD_CACHE_BYTES, 3, seconds=120)
        eventually(quietly(engines.attached), "every engine is attached again", 60)
        outcomes = answers.outcomes()
    assert failures(outcomes) == {}
    assert len(engines.trials()) == 1, "nothing was tried anew"
    room.kubectl("scale", "deployment", "chat", "--replicas=2")
    eventually(lambda: len(engines.pods()) == 2, "two pods again", 60)


@contextmanager
def _nobody_there(cluster: Cluster, gpus: SimulatedGpus) -> Iterator[None]:
    """Neither operator nor agent inside the block: everything that an uninstall takes away as well."""
    (operator,) = cluster.objects("deployments", NAMESPACE, "-l", "app.kubernetes.io/component=operator")
    _send_agents(cluster, "true")
    cluster.kubectl("-n", NAMESPACE, "scale", "deployment/trimtab-operator", "--replicas=0")
    try:
        eventually(lambda: not _control(cluster), "operator and agents are gone", 60)
        yield
    finally:
        _send_agents(cluster, None)
        replicas = operator["spec"]["replicas"]
        cluster.kubectl("-n", NAMESPACE, "scale", "deployment/trimtab-operator", f"--replicas={replicas}")
        for what in ("deployment/trimtab-operator", "daemonset/trimtab-agent"):
            cluster.kubectl("-n", NAMESPACE, "rollout", "status", what, "--timeout=120s", timeout=150)
        (agent,) = cluster.objects("pods", NAMESPACE, "-l", "app.kubernetes.io/component=agent")
        gpus.agent_metrics_url = f"http://{agent['status']['podIP']}:9101/metrics"


def _send_agents(cluster: Cluster, nowhere: str | None) -> None:
    """Send the DaemonSet to nodes that there are none of, or back."""
    patch = {"spec": {"template": {"spec": {"nodeSelector": {NOWHERE: nowhere}}}}}
    cluster.kubectl("-n", NAMESPACE, "patch", "daemonset", "trimtab-agent", "--type=merge", "-p", json.dumps(patch))


def _control(cluster: Cluster) -> list[dict[str, object]]:
    return cluster.objects("pods", NAMESPACE, "-l", "app.kubernetes.io/component in (operator,agent)")
