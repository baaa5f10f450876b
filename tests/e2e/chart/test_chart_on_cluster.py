"""The release on the real cluster: install, upgrade, rollback, the kill switch, uninstall."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from harness.cluster import Cluster, eventually
from harness.releases import NAME, Release
from harness.workload import deployment, policy


def in_namespace(namespace: str, *manifests: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**item, "metadata": {**item["metadata"], "namespace": namespace}} for item in manifests]


def operator_setting(release: Release, name: str) -> str:
    found = release.cluster.get("deployment", "trimtab-operator", release.namespace)
    assert found
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return str({entry["name"]: entry.get("value") for entry in container["env"]}[name])


def mode(release: Release) -> str:
    found = release.cluster.get("configmap", "trimtab-mode", release.namespace)
    assert found
    return str(found["data"]["maxMode"])


def test_a_fresh_install_passes_its_own_test(release: Release) -> None:
    release.cluster.helm("test", NAME, "-n", release.namespace, "--timeout", "2m")
    operator = release.cluster.get("deployment", "trimtab-operator", release.namespace)
    agent = release.cluster.get("daemonset", "trimtab-agent", release.namespace)
    assert operator
    assert agent
    assert operator["status"]["readyReplicas"] == 2
    assert agent["status"]["numberReady"] == agent["status"]["desiredNumberScheduled"] >= 1


def test_a_rollback_brings_the_settings_back_and_leaves_the_policies(release: Release) -> None:
    (manifest,) = in_namespace(release.watched, policy("kept", target="nobody", mode="Recommend"))
    release.cluster.apply(manifest)
    stored = release.cluster.get("optimizationpolicy", "kept", release.watched)
    before = release.revision()
    release.upgrade(logLevel="debug")
    assert operator_setting(release, "TRIMTAB_LOG_LEVEL") == "debug"
    release.rollback(before)
    assert operator_setting(release, "TRIMTAB_LOG_LEVEL") == "info"
    after = release.cluster.get("optimizationpolicy", "kept", release.watched)
    assert stored
    assert after
    assert after["spec"] == stored["spec"]
    assert after["metadata"]["uid"] == stored["metadata"]["uid"]
    release.cluster.kubectl("-n", release.watched, "delete", "optimizationpolicy", "kept")


def test_the_kill_switch_flips_by_upgrade_without_a_restart(release: Release) -> None:
    pods = release.pod_uids()
    assert len(pods) >= 3
    release.upgrade(maxMode="Recommend")
    assert mode(release) == "Recommend"
    release.upgrade()
    assert mode(release) == "Apply"
    assert release.pod_uids() == pods


def test_an_upgrade_does_not_undo_a_kill_switch_that_a_person_pulled(release: Release) -> None:
    patch = ("-n", release.namespace, "patch", "configmap", "trimtab-mode", "--type", "merge", "-p")
    release.cluster.kubectl(*patch, '{"data":{"maxMode":"Recommend"}}')
    with pytest.raises(AssertionError, match=r"conflict with \"kubectl-patch\".*maxMode"):
        release.upgrade()
    assert mode(release) == "Recommend"
    release.cluster.kubectl(*patch, '{"data":{"maxMode":"Apply"}}')
    release.upgrade()
    assert mode(release) == "Apply"


@pytest.mark.parametrize(
    ("allowed", "question"),
    [
        (True, ("patch", "deployments.apps", "--subresource=scale", "-n", "{watched}")),
        (True, ("patch", "optimizationpolicies.trimtab.dev", "--subresource=status", "-n", "{watched}")),
        (True, ("list", "pods", "-n", "{watched}")),
        (True, ("get", "configmaps/trimtab-mode", "-n", "{own}")),
        (True, ("update", "leases.coordination.k8s.io/trimtab-operator", "-n", "{own}")),
        (True, ("get", "crd/optimizationpolicies.trimtab.dev")),
        (True, ("patch", "optimizationtrials.trimtab.dev", "--subresource=status", "-n", "{watched}")),
        (True, ("patch", "nodetunings.trimtab.dev")),
        (True, ("get", "secrets/trimtab-ca", "-n", "{own}")),
        (True, ("patch", "configmaps/trimtab-ca", "-n", "{watched}")),
        (True, ("update", "certificatesigningrequests.certificates.k8s.io", "--subresource=approval")),
        (False, ("create", "certificatesigningrequests.certificates.k8s.io")),
        (False, ("patch", "nodetunings.trimtab.dev", "--subresource=status")),
        (False, ("get", "secrets/trimtab-ca", "-n", "{watched}")),
        (False, ("patch", "configmaps/other", "-n", "{watched}")),
        (False, ("patch", "deployments.apps", "-n", "{watched}")),
        (False, ("patch", "deployments.apps", "--subresource=scale", "-n", "default")),
        (False, ("patch", "optimizationpolicies.trimtab.dev", "-n", "{watched}")),
        (False, ("get", "secrets", "-n", "{watched}")),
        (False, ("get", "secrets", "-n", "{own}")),
        (False, ("get", "configmaps/other", "-n", "{own}")),
        (False, ("update", "configmaps/trimtab-mode", "-n", "{own}")),
        (False, ("update", "leases.coordination.k8s.io/other", "-n", "{own}")),
        (False, ("create", "pods", "-n", "{watched}")),
        (False, ("create", "pods", "--subresource=exec", "-n", "{watched}")),
        (False, ("patch", "crd/optimizationpolicies.trimtab.dev")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_the_api_server_gives_the_operator_its_table_and_no_more(
    release: Release, allowed: bool, question: tuple[str, ...]
) -> None:
    words = [word.format(watched=release.watched, own=release.namespace) for word in question]
    assert release.may(*words) is allowed


def test_the_operator_is_admitted_where_pods_are_restricted_and_resources_are_under_quota(
    release: Release, cluster: Cluster
) -> None:
    """The pod of the Deployment as a dry run in a namespace with both; the API server runs the whole admission."""
    found = cluster.get("deployment", "trimtab-operator", release.namespace)
    assert found
    name = f"{release.watched}-{secrets.token_hex(3)}"
    level = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest"}
    quota = {"requests.cpu": "4", "limits.cpu": "8", "requests.memory": "4Gi", "limits.memory": "8Gi"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trimtab-operator"}}
    template = found["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}, "spec": template["spec"]}
    unlimited = json.loads(json.dumps(pod))
    del unlimited["spec"]["containers"][0]["resources"]["limits"]
    try:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": level}})
        limits = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}, "spec": {"hard": quota}}
        cluster.apply(*in_namespace(name, account, limits))
        dry_run = ("create", "--dry-run=server", "-n", name, "-f", "-")
        eventually(
            lambda: "status unknown" not in cluster.kubectl(*dry_run, input=json.dumps(pod), check=False),
            "the quota is counted",
            30,
        )
        cluster.kubectl(*dry_run, input=json.dumps(pod))
        with pytest.raises(AssertionError, match="must specify limits"):
            cluster.kubectl(*dry_run, input=json.dumps(unlimited))
    finally:
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_uninstalling_leaves_the_workload_as_it_is_and_a_new_pod_of_it_becomes_ready(
    release: Release, engine_image: str
) -> None:
    cluster = release.cluster
    (workload,) = in_namespace(release.watched, deployment(engine_image, replicas=1, gpus=0))
    (wish,) = in_namespace(release.watched, policy(mode="Recommend"))
    cluster.apply(workload)
    cluster.apply(wish)

    def ready(count: int) -> bool:
        found = cluster.get("deployment", "chat", release.watched)
        return bool(found and found["status"].get("readyReplicas", 0) >= count)

    eventually(lambda: ready(1), "the workload serves", 120)
    eventually(
        lambda: (cluster.get("optimizationpolicy", "chat", release.watched) or {}).get("status"), "a first status", 60
    )
    before = cluster.get("deployment", "chat", release.watched)
    wished = cluster.get("optimizationpolicy", "chat", release.watched)
    release.uninstall()
    eventually(lambda: not release.pods(), "operator and agent are gone", 60)
    after = cluster.get("deployment", "chat", release.watched)
    left = cluster.get("optimizationpolicy", "chat", release.watched)
    assert before
    assert after
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert wished
    assert left
    assert left["spec"] == wished["spec"]
    cluster.kubectl("-n", release.watched, "scale", "deployment", "chat", "--replicas=2")
    try:
        eventually(lambda: ready(2), "a new pod of the workload is ready", 150)
    finally:
        print(cluster.kubectl("-n", release.watched, "get", "pods,events", "-o", "wide"))
