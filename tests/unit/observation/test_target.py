"""The target as the API server shows it: container, pods, rollout, and who else writes its replicas."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.kube import FakeKube, deployment, owner_entry, pod, policy

from trimtab_api.policy_spec import TargetRef
from trimtab_operator.errors import KubeForbidden, KubeUnavailable
from trimtab_operator.kube.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, PODS, SCALED_OBJECTS
from trimtab_operator.model.snapshot import ReplicasOwner, Target, TargetProblem
from trimtab_operator.observation.owners import autoscaler_owners, manifest_owners, scale_owners
from trimtab_operator.observation.pods import owned_pods, quantity
from trimtab_operator.observation.rivals import older_policy
from trimtab_operator.observation.target import (
    TargetReader,
    choose_container,
    is_rolling_out,
    label_selector,
    template_hash,
)

REF = TargetRef.model_validate({"apiVersion": "apps/v1", "kind": "Deployment", "name": "llama"})


async def read(kube: FakeKube) -> Target | TargetProblem:
    return await TargetReader(kube).read("prod", REF, kube.now, scaled_at=None)


async def test_a_target_is_read_whole() -> None:
    kube = FakeKube()
    kube.seed(DEPLOYMENTS, deployment("prod", "llama", replicas=2))
    kube.settle("prod", "llama")
    found = await read(kube)
    assert isinstance(found, Target)
    assert (found.replicas, found.container, found.runtime, found.rolling_out) == (2, "server", "trimtab", False)
    assert len(found.pods) == len(found.ready_pods) == 2
    assert found.pods[0].cpu_limit_cores == 1
    assert found.pods[0].memory_limit_bytes == 2**30


async def test_no_target_says_what_to_do() -> None:
    found = await read(FakeKube())
    assert isinstance(found, TargetProblem)
    assert found.reason == "NotFound"
    assert "create it" in found.message


async def test_a_target_under_deletion_is_gone() -> None:
    kube = FakeKube()
    body = deployment("prod", "llama")
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    kube.seed(DEPLOYMENTS, body)
    assert isinstance(await read(kube), TargetProblem)


async def test_missing_rights_are_a_reason_and_an_absent_server_is_an_error() -> None:
    kube = FakeKube()
    kube.seed(DEPLOYMENTS, deployment("prod", "llama"))
    kube.fail("list", "Pod", KubeForbidden)
    found = await read(kube)
    assert isinstance(found, TargetProblem)
    assert found.reason == "Forbidden"
    kube.fail("get", "Deployment", KubeUnavailable)
    with pytest.raises(KubeUnavailable):
        await read(kube)


async def test_autoscalers_are_seen_and_scaled_objects_asked_for_only_where_they_are_served() -> None:
    kube = FakeKube()
    kube.seed(DEPLOYMENTS, deployment("prod", "llama", replicas=None))
    body = {"metadata": {"namespace": "prod", "name": "so"}, "spec": {"scaleTargetRef": {"name": "llama"}}}
    kube.seed(SCALED_OBJECTS, body)
    found = await read(kube)
    assert isinstance(found, Target)
    assert found.replicas_owners == ()
    kube.served.add(SCALED_OBJECTS)
    found = await read(kube)
    assert isinstance(found, Target)
    assert found.replicas_owners == (ReplicasOwner("ScaledObject", "so"),)


async def test_policies_of_one_slot_share_the_lists_of_their_namespace() -> None:
    kube = FakeKube()
    kube.seed(DEPLOYMENTS, deployment("prod", "llama"))
    reader = TargetReader(kube)
    for _ in range(3):
        await reader.read("prod", REF, kube.now, scaled_at=None)
    assert [call[1] for call in kube.reads].count(HORIZONTAL_POD_AUTOSCALERS.kind) == 1
    assert [call[1] for call in kube.reads].count(PODS.kind) == 3


def with_containers(*containers: dict[str, str]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers)}}}}


ENGINE, PROXY = {"name": "server", "image": "r/trimtab/engine:1"}, {"name": "proxy", "image": "envoy"}


@pytest.mark.parametrize(
    ("containers", "wanted", "expected"),
    [
        pytest.param([PROXY], None, "proxy", id="the only one"),
        pytest.param([PROXY, ENGINE], None, "server", id="the only one of a known runtime"),
        pytest.param([PROXY, ENGINE], "proxy", "proxy", id="named"),
        pytest.param([ENGINE, ENGINE | {"name": "other"}], None, "AmbiguousContainer", id="two engines"),
        pytest.param([PROXY, PROXY | {"name": "b"}], None, "AmbiguousContainer", id="none known"),
        pytest.param([ENGINE], "sidecar", "ContainerNotFound", id="named and absent"),
    ],
)
def test_the_serving_container(containers: list[dict[str, str]], wanted: str | None, expected: str) -> None:
    found = choose_container(with_containers(*containers), wanted)
    assert (found.reason if isinstance(found, TargetProblem) else found["name"]) == expected


def test_the_hash_follows_the_template_and_not_the_replicas() -> None:
    first, second = deployment("prod", "a", replicas=1), deployment("prod", "a", replicas=2)
    assert template_hash(first) == template_hash(second)
    assert template_hash(first) != template_hash(deployment("prod", "a", image="other"))


@pytest.mark.parametrize(
    ("status", "rolling"),
    [
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3}, False),
        ({"observedGeneration": 2}, False),
        ({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3}, True),
        ({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}, True),
    ],
    ids=["steady", "no pods", "unseen spec", "old pods"],
)
def test_a_rollout_is_seen(status: dict[str, int], rolling: bool) -> None:
    assert is_rolling_out({"metadata": {"generation": 2}, "status": status}) is rolling


def test_a_label_selector_becomes_a_query() -> None:
    selector = {
        "matchLabels": {"b": "2", "a": "1"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["x", "y"]},
            {"key": "d", "operator": "NotIn", "values": ["z"]},
            {"key": "e", "operator": "Exists"},
            {"key": "f", "operator": "DoesNotExist"},
        ],
    }
    assert label_selector(selector) == "a=1,b=2,c in (x,y),d notin (z),e,!f"


CREATED = "2026-01-01T00:00:00Z"
CREATED_AT = 1767225600.0


def owned(replicas: int, *entries: dict[str, Any], last_applied: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"managedFields": list(entries), "creationTimestamp": CREATED}
    if last_applied is not None:
        text = json.dumps({"spec": last_applied})
        metadata["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": text}
    return {"metadata": metadata, "spec": {"replicas": replicas}}


CLIENT_SIDE = owner_entry("kubectl-client-side-apply", "Update", replicas=True)
OURS = owner_entry("trimtab", "Update", replicas=True, subresource="scale")


@pytest.mark.parametrize(
    ("body", "scaled_at", "owners"),
    [
        pytest.param(owned(1, owner_entry("helm", "Apply", replicas=True)), None, ["helm"], id="applied"),
        pytest.param(owned(1, owner_entry("helm", "Apply", replicas=False)), None, [], id="applied without"),
        pytest.param(owned(1, CLIENT_SIDE, last_applied={}), None, [], id="kubectl apply without"),
        pytest.param(
            owned(1, CLIENT_SIDE, last_applied={"replicas": 1}),
            None,
            ["kubectl-client-side-apply"],
            id="kubectl apply with",
        ),
        pytest.param(
            owned(4, OURS, last_applied={"replicas": 1}),
            CREATED_AT + 60,
            ["kubectl-client-side-apply"],
            id="kubectl apply with, and we scaled",
        ),
        pytest.param(owned(1, owner_entry("helm", "Update", replicas=True)), None, [], id="defaulted for Helm 3"),
        pytest.param(owned(3, owner_entry("helm", "Update", replicas=True)), None, ["helm"], id="sent by Helm 3"),
        pytest.param(
            owned(1, owner_entry("helm", "Update", replicas=True)), CREATED_AT + 60, ["helm"], id="taken back by Helm 3"
        ),
        pytest.param(
            owned(1, owner_entry("helm", "Update", replicas=True)), CREATED_AT - 60, [], id="made again by Helm 3"
        ),
        pytest.param(owned(3, owner_entry("kubectl-edit", "Update", replicas=True)), None, [], id="a person's edit"),
        pytest.param(owned(3, owner_entry("kubectl-create", "Update", replicas=True)), None, [], id="kubectl create"),
        pytest.param(owned(3, owner_entry("kube-controller-manager", "Update", replicas=True)), None, [], id="cluster"),
        pytest.param(
            owned(3, owner_entry("trimtab", "Update", replicas=True, subresource="scale")), None, [], id="ours"
        ),
        pytest.param({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{"}}}, None, [],
                     id="broken annotation"),
    ],
)  # fmt: skip
def test_a_manifest_that_carries_replicas_is_told_from_one_that_does_not(
    body: dict[str, Any], scaled_at: float | None, owners: list[str]
) -> None:
    assert [owner.name for owner in manifest_owners(body, scaled_at=scaled_at)] == owners


def test_a_foreign_scaler_is_an_owner_and_a_persons_kubectl_scale_is_not() -> None:
    body = owned(
        3,
        owner_entry("kubectl", "Update", replicas=True, subresource="scale"),
        owner_entry("other-scaler", "Update", replicas=True, subresource="scale"),
        owner_entry("trimtab", "Update", replicas=True, subresource="scale"),
    )
    assert scale_owners(body) == (ReplicasOwner("Scale", "other-scaler"),)


def test_a_scaled_object_stands_before_the_autoscaler_that_it_made() -> None:
    def aims(own_name: str, **target: str) -> dict[str, Any]:
        return {"metadata": {"name": own_name}, "spec": {"scaleTargetRef": target}}

    found = autoscaler_owners(
        "llama",
        [aims("hpa", kind="Deployment", name="llama"), aims("other", kind="StatefulSet", name="llama")],
        [aims("so", name="llama"), aims("elsewhere", name="x")],
    )
    assert [(owner.kind, owner.name) for owner in found] == [
        ("ScaledObject", "so"),
        ("HorizontalPodAutoscaler", "hpa"),
    ]


def test_pods_of_another_workload_with_the_same_labels_do_not_count() -> None:
    mine = pod("prod", "llama", "llama-b5c5-a", 0.0)
    theirs = pod("prod", "llama-chat", "llama-chat-b5c5-a", 0.0)
    for body in (mine, theirs):
        body["metadata"]["uid"] = "u"
    assert [each.name for each in owned_pods("llama", [theirs, mine])] == ["llama-b5c5-a"]


def test_an_unschedulable_pod_says_why_and_since_when() -> None:
    body = pod("prod", "llama", "llama-b5c5-a", 1000.0, ready=False, node=None)
    body["metadata"]["uid"] = "u"
    (found,) = owned_pods("llama", [body])
    assert found.unschedulable_since == 1000.0
    assert "Insufficient cpu" in found.unschedulable_message
    assert not found.ready
    assert found.ready_at is None


def test_a_limit_counts_only_where_every_container_has_one() -> None:
    body = pod("prod", "llama", "llama-b5c5-a", 0.0)
    body["metadata"]["uid"] = "u"
    body["spec"]["containers"].append({"name": "sidecar", "resources": {"limits": {"nvidia.com/gpu": "1"}}})
    (found,) = owned_pods("llama", [body])
    assert found.cpu_limit_cores is None
    assert found.gpus == 1


@pytest.mark.parametrize(
    ("annotations", "bytes_per_second"),
    [
        (None, None),
        ({"kubernetes.io/egress-bandwidth": "10G"}, 1.25e9),
        ({"kubernetes.io/ingress-bandwidth": "80M", "kubernetes.io/egress-bandwidth": "1G"}, 1e7),
        ({"kubernetes.io/ingress-bandwidth": "much"}, None),
    ],
)
def test_the_smaller_of_the_declared_bandwidths_is_the_limit_of_a_pods_network(
    annotations: dict[str, str] | None, bytes_per_second: float | None
) -> None:
    body = pod("prod", "llama", "llama-b5c5-a", 0.0)
    body["metadata"] |= {"uid": "u", "annotations": annotations}
    (found,) = owned_pods("llama", [body])
    assert found.network_limit_bytes_per_second == bytes_per_second


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2.0), ("1Gi", 2.0**30), ("1.5Gi", 1.5 * 2**30), ("1k", 1000.0), ("1e3", 1000.0),
     (None, None), ("many", None)],
)  # fmt: skip
def test_quantities(text: str | None, value: float | None) -> None:
    assert quantity(text) == value


def test_the_older_of_two_policies_on_one_target_wins_and_ties_go_by_name() -> None:
    def made(name: str, at: str, target: str = "llama", namespace: str = "prod") -> dict[str, Any]:
        body = policy(namespace, name, target)
        body["metadata"]["creationTimestamp"] = at
        return body

    first, second, twin = made("b", "2026-01-01"), made("a", "2026-01-02"), made("a2", "2026-01-01")
    other, elsewhere = made("o", "2025-01-01", "other"), made("b", "2025-01-01", namespace="test")
    everyone = [first, second, twin, other, elsewhere]
    assert older_policy(second, everyone) == "prod/a2"
    assert older_policy(first, everyone) == "prod/a2"
    assert older_policy(twin, everyone) is None
