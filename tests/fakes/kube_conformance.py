"""What the operator relies on of an API server, as checks that run on the fake and on a real one alike.

Each check asserts one promise. It gets the port, a namespace of its own, and `create`, which makes an object as
another client would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from trimtab_operator.errors import KubeConflict, KubeInvalid, KubeNotFound
from trimtab_operator.kube.port import Kube
from trimtab_operator.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NODE_TUNINGS,
    PODS,
    POLICIES,
    SCALED_OBJECTS,
    TRIALS,
    Resource,
)

Json = dict[str, Any]
Create = Callable[[Resource, Json], None]
Check = Callable[[Kube, str, Create], Awaitable[None]]


def deployment_body(namespace: str, name: str, *, replicas: int | None = None) -> Json:
    """A Deployment whose pods no node takes."""
    spec: Json = {
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "nodeSelector": {"trimtab.dev/no-such-node": "true"},
                "containers": [{"name": "server", "image": "registry.invalid/trimtab/engine:1"}],
            },
        },
    }
    if replicas is not None:
        spec["replicas"] = replicas
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def policy_body(namespace: str, name: str) -> Json:
    return {
        "apiVersion": POLICIES.api_version,
        "kind": POLICIES.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}},
    }


def trial_body(namespace: str, name: str) -> Json:
    """A trial of a policy that does not exist: no operator that runs meanwhile writes its status."""
    settings = {"maxBatchSize": 1, "maxQueueDelay": "0ms", "cacheMemory": "0"}
    return {
        "apiVersion": TRIALS.api_version,
        "kind": TRIALS.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "policy": "nobody",
            "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": "u", "templateHash": "h"},
            "change": {"knob": "maxBatchSize", "from": "1", "to": "8"},
            "changeSummary": "maxBatchSize 1→8",
            "hypothesis": "larger batches use the worker better",
            "predicted": [{"measure": "Throughput", "effect": "0.8"}],
            "predictedSummary": "throughput +80%",
            "design": "PairedCanary",
            "pods": [
                {"uid": "u1", "name": "a-1", "node": "n", "arm": "Canary"},
                {"uid": "u2", "name": "a-2", "node": "n", "arm": "Stable"},
            ],
            "canary": settings | {"maxBatchSize": 8},
            "stable": settings,
            "rules": {
                "window": "1m",
                "maxWindow": "5m",
                "minRequests": 200,
                "minEffect": "0.05",
                "maxTrials": 8,
                "maxViolatingTrials": 2,
            },
        },
    }


def replica_owners(body: Json) -> set[tuple[str, str, str | None]]:
    return {
        (entry["manager"], entry["operation"], entry.get("subresource"))
        for entry in body["metadata"]["managedFields"]
        if "f:replicas" in entry["fieldsV1"].get("f:spec", {})
    }


async def set_replicas(kube: Kube, namespace: str, name: str, replicas: int) -> Json:
    """Scale a Deployment; the scale as it was read before."""
    for _ in range(5):
        scale = await kube.get_scale(namespace, name)
        with suppress(KubeConflict):  # the Deployment's own controller wrote its status meanwhile
            await kube.patch_scale(namespace, name, replicas, scale["metadata"]["resourceVersion"])
            return scale
    pytest.fail("five conflicts in a row")


async def what_does_not_exist_is_not_found(kube: Kube, namespace: str, _: Create) -> None:
    for call in (
        kube.get(DEPLOYMENTS, namespace, "nobody"),
        kube.get_scale(namespace, "nobody"),
        kube.patch_scale(namespace, "nobody", 1, "1"),
        kube.patch_status(POLICIES, namespace, "nobody", {"phase": "Discovery"}, "1"),
        kube.patch_event(namespace, "nobody", {"count": 2}),
        kube.patch(TRIALS, namespace, "nobody", {"metadata": {"labels": {"a": "b"}}}),
        kube.delete(TRIALS, namespace, "nobody"),
        kube.get_lease(namespace, "nobody"),
    ):
        with pytest.raises(KubeNotFound):
            await call


async def a_namespace_without_pods_lists_none(kube: Kube, namespace: str, _: Create) -> None:
    assert await kube.list_all(PODS, namespace, "app=none") == []


async def lists_obey_their_label_selector(kube: Kube, namespace: str, create: Create) -> None:
    for name, labels in (("x", {"app": "x", "tier": "one"}), ("y", {"app": "y"})):
        metadata = {"namespace": namespace, "name": name, "labels": labels}
        create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

    async def names(selector: str) -> set[str]:
        found = await kube.list_all(CONFIG_MAPS, namespace, selector)
        return {body["metadata"]["name"] for body in found} & {"x", "y"}

    assert await names("app=x") == {"x"}
    assert await names("app in (x,y),tier") == {"x"}
    assert await names("app in (x,y),!tier") == {"y"}
    assert await names("app notin (y)") == {"x"}


async def served_kinds_are_told_from_others(kube: Kube, _: str, __: Create) -> None:
    assert await kube.serves(POLICIES)
    assert not await kube.serves(SCALED_OBJECTS)


async def an_absent_replica_count_is_one(kube: Kube, namespace: str, create: Create) -> None:
    create(DEPLOYMENTS, deployment_body(namespace, "a"))
    assert (await kube.get(DEPLOYMENTS, namespace, "a"))["spec"]["replicas"] == 1


async def scale_changes_replicas_and_carries_the_deployments_identity(
    kube: Kube, namespace: str, create: Create
) -> None:
    create(DEPLOYMENTS, deployment_body(namespace, "a", replicas=1))
    before = await kube.get(DEPLOYMENTS, namespace, "a")
    scale = await set_replicas(kube, namespace, "a", 3)
    after = await kube.get(DEPLOYMENTS, namespace, "a")
    assert scale["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["replicas"] == 3
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert replica_owners(after) == {("trimtab", "Update", "scale")}


async def replicas_that_nobody_sent_get_no_owner_by_scaling(kube: Kube, namespace: str, create: Create) -> None:
    create(DEPLOYMENTS, deployment_body(namespace, "a"))
    assert replica_owners(await kube.get(DEPLOYMENTS, namespace, "a")) == set()
    await set_replicas(kube, namespace, "a", 2)
    assert replica_owners(await kube.get(DEPLOYMENTS, namespace, "a")) == set()


async def a_stale_version_on_scale_is_a_conflict(kube: Kube, namespace: str, create: Create) -> None:
    create(DEPLOYMENTS, deployment_body(namespace, "a"))
    with pytest.raises(KubeConflict):
        await kube.patch_scale(namespace, "a", 2, "1")


async def negative_replicas_are_refused(kube: Kube, namespace: str, create: Create) -> None:
    create(DEPLOYMENTS, deployment_body(namespace, "a"))
    with pytest.raises(KubeInvalid):
        await set_replicas(kube, namespace, "a", -1)


async def a_status_patch_merges_removes_and_leaves_the_spec(kube: Kube, namespace: str, create: Create) -> None:
    create(TRIALS, trial_body(namespace, "t"))
    body = await kube.get(TRIALS, namespace, "t")
    first = {"reason": "first", "violations": 2}
    body = await kube.patch_status(TRIALS, namespace, "t", first, body["metadata"]["resourceVersion"])
    second = {"reason": "second", "violations": None}
    body = await kube.patch_status(TRIALS, namespace, "t", second, body["metadata"]["resourceVersion"])
    assert body["status"]["reason"] == "second"
    assert body["status"].get("violations", 0) == 0
    assert body["metadata"]["generation"] == 1
    assert body["spec"]["policy"] == "nobody"


async def a_status_patch_that_changes_nothing_makes_no_version(kube: Kube, namespace: str, create: Create) -> None:
    create(TRIALS, trial_body(namespace, "t"))
    body = await kube.get(TRIALS, namespace, "t")
    first = await kube.patch_status(TRIALS, namespace, "t", {"reason": "x"}, body["metadata"]["resourceVersion"])
    again = await kube.patch_status(TRIALS, namespace, "t", {"reason": "x"}, first["metadata"]["resourceVersion"])
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def a_stale_version_on_status_is_a_conflict(kube: Kube, namespace: str, create: Create) -> None:
    create(TRIALS, trial_body(namespace, "t"))
    stale = (await kube.get(TRIALS, namespace, "t"))["metadata"]["resourceVersion"]
    await kube.patch_status(TRIALS, namespace, "t", {"reason": "first"}, stale)
    with pytest.raises(KubeConflict):
        await kube.patch_status(TRIALS, namespace, "t", {"reason": "second"}, stale)


async def an_object_is_made_once_merged_and_deleted_once(kube: Kube, namespace: str, _: Create) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"a": "1", "b": "2"}}
    made = await kube.create(CONFIG_MAPS, namespace, body)
    with pytest.raises(KubeConflict):
        await kube.create(CONFIG_MAPS, namespace, body)
    version = made["metadata"]["resourceVersion"]
    patched = await kube.patch(CONFIG_MAPS, namespace, "made", {"data": {"a": None, "c": "3"}}, version)
    assert patched["data"] == {"b": "2", "c": "3"}
    with pytest.raises(KubeConflict):
        await kube.patch(CONFIG_MAPS, namespace, "made", {"data": {"d": "4"}}, version)
    with pytest.raises(KubeConflict):
        await kube.replace(CONFIG_MAPS, namespace, "made", {**body, "metadata": made["metadata"]})
    replaced = await kube.replace(CONFIG_MAPS, namespace, "made", {**patched, "data": {"e": "5"}})
    assert replaced["data"] == {"e": "5"}
    await kube.delete(CONFIG_MAPS, namespace, "made")
    with pytest.raises(KubeNotFound):
        await kube.get(CONFIG_MAPS, namespace, "made")


async def a_list_in_a_patch_replaces_the_list(kube: Kube, namespace: str, _: Create) -> None:
    def entry(uid: str) -> Json:
        return {"podUid": uid, "namespace": namespace, "pod": f"pod-{uid}", "settings": {}}

    body = {
        "apiVersion": NODE_TUNINGS.api_version,
        "kind": NODE_TUNINGS.kind,
        "metadata": {"name": namespace},
        "spec": {"engines": [entry("a"), entry("b")]},
    }
    try:
        made = await kube.create(NODE_TUNINGS, None, body)
        version = made["metadata"]["resourceVersion"]
        patched = await kube.patch(NODE_TUNINGS, None, namespace, {"spec": {"engines": [entry("b")]}}, version)
        assert [each["podUid"] for each in patched["spec"]["engines"]] == ["b"]
        assert patched["metadata"]["generation"] == made["metadata"]["generation"] + 1
    finally:
        await kube.delete(NODE_TUNINGS, None, namespace)


async def events_are_made_once_and_counted(kube: Kube, namespace: str, _: Create) -> None:
    involved = {"kind": "OptimizationPolicy", "namespace": namespace, "name": "p"}
    body = {
        "metadata": {"name": "p.1", "namespace": namespace},
        "involvedObject": involved,
        "reason": "Scaled",
        "message": "from 1 to 2",
        "type": "Normal",
        "count": 1,
    }
    await kube.create_event(namespace, body)
    with pytest.raises(KubeConflict):
        await kube.create_event(namespace, body)
    assert (await kube.patch_event(namespace, "p.1", {"count": 2}))["count"] == 2


async def a_lease_is_won_once_and_renewed_by_version(kube: Kube, namespace: str, _: Create) -> None:
    def lease(holder: str, version: str | None = None) -> Json:
        metadata: Json = {"name": "l", "namespace": namespace}
        if version is not None:
            metadata["resourceVersion"] = version
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    created = await kube.create_lease(namespace, lease("a"))
    with pytest.raises(KubeConflict):
        await kube.create_lease(namespace, lease("b"))
    version = created["metadata"]["resourceVersion"]
    taken = await kube.replace_lease(namespace, "l", lease("b", version))
    with pytest.raises(KubeConflict):
        await kube.replace_lease(namespace, "l", lease("a", version))
    assert (await kube.get_lease(namespace, "l"))["spec"]["holderIdentity"] == "b"
    assert taken["metadata"]["resourceVersion"] != version


CHECKS: tuple[Check, ...] = (
    what_does_not_exist_is_not_found,
    a_namespace_without_pods_lists_none,
    lists_obey_their_label_selector,
    served_kinds_are_told_from_others,
    an_absent_replica_count_is_one,
    scale_changes_replicas_and_carries_the_deployments_identity,
    replicas_that_nobody_sent_get_no_owner_by_scaling,
    a_stale_version_on_scale_is_a_conflict,
    negative_replicas_are_refused,
    a_status_patch_merges_removes_and_leaves_the_spec,
    a_status_patch_that_changes_nothing_makes_no_version,
    a_stale_version_on_status_is_a_conflict,
    an_object_is_made_once_merged_and_deleted_once,
    a_list_in_a_patch_replaces_the_list,
    events_are_made_once_and_counted,
    a_lease_is_won_once_and_renewed_by_version,
)
