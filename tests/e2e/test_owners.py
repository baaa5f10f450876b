"""Where somebody else owns the replica count, nothing is written and the user reads what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from harness.cluster import always, eventually
from harness.room import Room
from harness.workload import deployment, policy


def test_kubectl_apply_without_replicas_keeps_ours_and_with_replicas_is_a_conflict(
    room: Room, engine_image: str
) -> None:
    room.gpus.set(room.namespace, gpus=1.5)
    room.apply(deployment(engine_image), policy())
    room.wait_replicas(2, seconds=120)
    room.apply(deployment(engine_image, environment={"NOTE": "unchanged replicas"}))
    always(lambda: room.replicas() == 2, "an apply without replicas keeps our count", seconds=8)
    mark = room.audit.mark()
    room.apply(deployment(engine_image, environment={"NOTE": "unchanged replicas"}, replicas=1))
    message = room.wait_condition("Conflict", "True", "ReplicasInManifest", seconds=60)
    assert "replicas" in message
    always(lambda: room.writes("deployments/scale", since=mark) == [], "nothing is written", seconds=15)


@pytest.mark.parametrize("with_replicas", [False, True], ids=["without-replicas", "with-replicas"])
def test_helm_upgrade_of_the_workload_works_after_we_scaled_it(
    room: Room, engine_image: str, tmp_path: Path, with_replicas: bool
) -> None:
    chart = workload_chart(tmp_path, deployment(engine_image, replicas=1 if with_replicas else None))
    room.gpus.set(room.namespace, gpus=1.5)
    room.cluster.helm("install", "chat", str(chart), "-n", room.namespace)
    room.apply(policy())
    room.wait_ready(1)
    if with_replicas:
        message = room.wait_condition("Conflict", "True", "ReplicasInManifest", seconds=90)
        assert "helm" in message
        assert room.writes("deployments/scale") == []
    else:
        room.wait_replicas(2, seconds=90)
    room.cluster.helm("upgrade", "chat", str(chart), "-n", room.namespace, "--set", "note=second")
    assert room.replicas() == (1 if with_replicas else 2)


def test_an_hpa_on_the_target_is_a_conflict_and_nothing_is_written(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=1.5)
    hpa = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
            "minReplicas": 1,
            "maxReplicas": 4,
        },
    }
    room.apply(deployment(engine_image), hpa, policy())
    message = room.wait_condition("Conflict", "True", "HorizontalPodAutoscaler", seconds=60)
    assert "theirs" in message
    room.wait_ready(1)
    always(lambda: room.writes("deployments/scale") == [], "nothing is written", seconds=20)


def test_of_two_policies_on_a_target_the_older_acts_and_the_other_says_so(room: Room, engine_image: str) -> None:
    room.gpus.set(room.namespace, gpus=0.2)
    room.apply(deployment(engine_image), policy("older"))
    eventually(lambda: room.status("older"), "the first policy is seen", 60)
    room.apply(policy("younger"))
    message = room.wait_condition("Conflict", "True", "TargetTaken", name="younger", seconds=60)
    assert "older" in message
    room.gpus.set(room.namespace, gpus=1.5)
    room.wait_ready(1)
    room.wait_replicas(2, seconds=90)
    eventually(lambda: room.status("older").get("history"), "the older one's write is in its ledger", 30)
    noticed = {entry["what"] for entry in room.status("younger").get("history", [])}
    assert noticed <= {"ForeignEdit"}, "the younger one sees the change and makes none"


def workload_chart(folder: Path, manifest: dict[str, object]) -> Path:
    """A user's own chart with that one Deployment, annotated with a value that an upgrade changes."""
    chart = folder / "chat"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: chat\nversion: 0.1.0\n")
    (chart / "values.yaml").write_text("note: first\n")
    manifest["metadata"] = {"name": "chat", "annotations": {"note": "{{ .Values.note }}"}}
    (chart / "templates" / "deployment.yaml").write_text(yaml.safe_dump(manifest))
    return chart
