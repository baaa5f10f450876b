"""Engines and trials, read live from the API server."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import CANARY, a_pod, a_policy, a_trial, an_engine, at
from fakes.kube import FakeKube

from trimtab_operator.errors import KubeForbidden, KubeUnavailable
from trimtab_operator.kube.resources import NODE_TUNINGS, TRIALS
from trimtab_operator.observation.engines import read_engines
from trimtab_operator.observation.trials import Trials, read_trials
from trimtab_operator.trial.draft import number_of

PODS = (a_pod("chat-0"), a_pod("chat-1", node="node-b"), a_pod("chat-2", node=None))
OURS = {"apiVersion": "trimtab.dev/v1alpha1", "kind": "OptimizationPolicy", "name": "chat", "uid": "policy-uid"}


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


def seed_node(kube: FakeKube, node: str, *pods: str, answered: bool = True) -> None:
    known = [an_engine(CANARY, pod=pod) for pod in pods]
    reports = [each.report.to_body() for each in known if each.report is not None and answered]
    entries = [each.entry.to_body() for each in known if each.entry is not None]
    kube.seed(
        NODE_TUNINGS,
        {
            "apiVersion": "trimtab.dev/v1alpha1",
            "kind": "NodeTuning",
            "metadata": {"name": node},
            "spec": {"engines": entries},
            "status": {"engines": reports},
        },
    )


async def test_each_pod_is_looked_up_on_its_own_node(kube: FakeKube) -> None:
    seed_node(kube, "node-a", "chat-0", "another")
    seed_node(kube, "node-b", "chat-1", answered=False)
    found = await read_engines(kube, PODS)
    assert set(found) == {"uid-chat-0", "uid-chat-1"}
    assert found["uid-chat-0"].runs(CANARY)
    assert found["uid-chat-1"].entry is not None
    assert found["uid-chat-1"].report is None


async def test_a_node_is_read_once_however_many_pods_it_has(kube: FakeKube) -> None:
    seed_node(kube, "node-a", "chat-0", "chat-1")
    await read_engines(kube, (a_pod("chat-0"), a_pod("chat-1")))
    assert kube.reads == [("get", "NodeTuning", "None/node-a")]


async def test_a_report_without_an_entry_is_known_too(kube: FakeKube) -> None:
    seed_node(kube, "node-a", "chat-0")
    kube.edit(NODE_TUNINGS, None, "node-a", {"spec": {"engines": []}})
    found = await read_engines(kube, PODS[:1])
    assert found["uid-chat-0"].entry is None
    assert found["uid-chat-0"].attached


@pytest.mark.parametrize("case", ["no object", "unreadable", "does not know the pod"])
async def test_a_pod_that_no_node_tuning_knows_is_left_out(kube: FakeKube, case: str) -> None:
    if case != "no object":
        seed_node(kube, "node-a", "another")
    if case == "unreadable":
        kube.edit(NODE_TUNINGS, None, "node-a", {"spec": {"engines": [{"settings": 7}]}})
    assert await read_engines(kube, PODS[:1]) == {}


@pytest.mark.parametrize("error", [KubeUnavailable, KubeForbidden])
async def test_an_api_server_that_does_not_answer_is_not_silence_of_the_engines(
    kube: FakeKube, error: type[KubeUnavailable]
) -> None:
    kube.fail("get", "NodeTuning", error)
    with pytest.raises(error):
        await read_engines(kube, PODS)


def seed_trial(kube: FakeKube, name: str, *, policy: str = "chat", owner: Any = OURS, **metadata: Any) -> None:
    body = a_trial(name).to_body()
    place = {"namespace": "prod", "labels": {"trimtab.dev/policy": policy}, "ownerReferences": [owner]}
    spec = body["spec"] | metadata.pop("spec", {})
    kube.seed(TRIALS, {**body, "metadata": {"name": name, **place, **metadata}, "spec": spec})


async def read(kube: FakeKube) -> Trials:
    return await read_trials(kube, a_policy())


async def test_trials_come_oldest_first_by_their_number(kube: FakeKube) -> None:
    for name in ("chat-10", "chat-9", "chat-by-hand", "chat-1"):
        seed_trial(kube, name)
    found = await read(kube)
    assert [trial.metadata.name for trial in found.items] == ["chat-by-hand", "chat-1", "chat-9", "chat-10"]
    assert [number_of(trial) for trial in found.items] == [0, 1, 9, 10]


async def test_only_trials_that_this_very_policy_owns_are_its_own(kube: FakeKube) -> None:
    seed_trial(kube, "chat-1", owner=OURS | {"uid": "an-older-policy-of-this-name"})
    seed_trial(kube, "chat-2", policy="another")
    seed_trial(kube, "chat-3", owner=OURS)
    assert [trial.metadata.name for trial in (await read(kube)).items] == ["chat-3"]


async def test_a_trial_that_this_version_cannot_read_is_left_out(kube: FakeKube) -> None:
    seed_trial(kube, "chat-1", spec={"design": "ByMoonlight"})
    assert await read(kube) == Trials()


MANAGED = {"manager": "anna", "operation": "Update", "time": at(), "fieldsV1": {"f:spec": {"f:approval": {}}}}
OTHERS = {"manager": "trimtab", "operation": "Update", "time": at(), "fieldsV1": {"f:status": {}}}


@pytest.mark.parametrize(
    ("approval", "fields", "approvers"),
    [
        pytest.param("Approved", [OTHERS, MANAGED], {"chat-1": "anna"}, id="approved"),
        pytest.param("Denied", [MANAGED], {"chat-1": "anna"}, id="denied"),
        pytest.param("Approved", [OTHERS], {"chat-1": "unknown"}, id="nobody owns it"),
        pytest.param("Approved", [], {"chat-1": "unknown"}, id="no managed fields"),
        pytest.param(None, [OTHERS], {}, id="not said"),
        pytest.param("Approved", [MANAGED | {"manager": "x" * 99}], {"chat-1": "x" * 64}, id="a long name"),
    ],
)
async def test_who_approved_is_the_owner_of_the_field(
    kube: FakeKube, approval: str | None, fields: list[Any], approvers: dict[str, str]
) -> None:
    seed_trial(kube, "chat-1", spec={"approval": approval}, managedFields=fields)
    assert (await read(kube)).approvers == approvers
