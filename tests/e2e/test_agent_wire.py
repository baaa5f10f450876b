"""Who is let in: an agent gives settings to the pods of its node only, and writes its own node's status only."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from harness.cluster import Cluster, eventually
from harness.platform import NAMESPACE
from harness.room import Room
from harness.tuned import Tuned
from harness.wire import Answer, ask, token_of, trusted

OTHER_NODE = "e2e-other-node"


@dataclass(frozen=True)
class Door:
    """The agent of the only node, asked with tokens of one namespace's pods."""

    cluster: Cluster
    namespace: str
    address: str

    def ask(self, pod: str | None, audience: str | None = "trimtab-agent") -> Answer:
        """Ask with a fresh token of this pod."""
        return self.ask_with(token_of(self.cluster, self.namespace, pod=pod, audience=audience))

    def ask_with(self, token: str) -> Answer:
        return ask(trusted(self.cluster, self.namespace), self.address, token)


@pytest.fixture
def agent(cluster: Cluster) -> dict[str, Any]:
    (found,) = cluster.objects("pods", NAMESPACE, "-l", "app.kubernetes.io/component=agent")
    return found


@pytest.fixture
def door(tuned: Tuned, agent: dict[str, Any]) -> Door:
    return Door(tuned.room.cluster, tuned.room.namespace, agent["status"]["podIP"])


def test_each_pod_is_given_its_own_settings_and_no_others(tuned: Tuned, door: Door) -> None:
    pods = tuned.engines.pods()
    given = {pod["metadata"]["uid"]: door.ask(pod["metadata"]["name"]) for pod in pods}
    assert [answer.status for answer in given.values()] == [200] * len(pods)
    assert {uid: (answer.document or {}).get("podUid") for uid, answer in given.items()} == {uid: uid for uid in given}


@pytest.mark.parametrize("audience", [None, "somebody-else"], ids=["of the API server", "another"])
def test_a_token_of_another_audience_is_refused(tuned: Tuned, door: Door, audience: str | None) -> None:
    answer = door.ask(tuned.engines.pods()[0]["metadata"]["name"], audience)
    assert (answer.status, answer.reason) == (401, "NotAuthenticated")


def test_a_token_of_no_pod_is_refused(door: Door) -> None:
    answer = door.ask(None)
    assert (answer.status, answer.reason) == (403, "NotAPod")


def test_a_token_of_a_pod_on_another_node_is_refused_and_of_a_deleted_one_too(tuned: Tuned, door: Door) -> None:
    room = tuned.room
    room.apply(_pod("elsewhere", nodeName=OTHER_NODE))
    token = token_of(room.cluster, room.namespace, pod="elsewhere")
    answer = door.ask_with(token)
    assert (answer.status, answer.reason) == (403, "OtherNode")
    room.kubectl("delete", "pod", "elsewhere", "--grace-period=0", "--force", "--ignore-not-found")

    def refused() -> bool:
        """A refusal is remembered for some seconds, and so is the reason."""
        late = door.ask_with(token)
        return (late.status, late.reason) == (401, "NotAuthenticated")

    eventually(refused, "the token of a pod that is gone is not known", 30, every=2.0)


def test_a_pod_that_nobody_tunes_is_told_so(room: Room, door: Door, engine_image: str) -> None:
    container = {"name": "server", "image": engine_image, "command": ["sleep", "600"]}
    room.apply(_pod("untuned", containers=[container]))
    eventually(lambda: "nodeName" in room.cluster.objects("pods", room.namespace)[0]["spec"], "it has a node", 30)
    answer = door.ask_with(token_of(room.cluster, room.namespace, pod="untuned"))
    assert (answer.status, answer.reason) == (404, "NoEntry")


@pytest.fixture
def other_tuning(cluster: Cluster) -> Iterator[str]:
    """The NodeTuning of a node that is not there."""
    body = {
        "apiVersion": "trimtab.dev/v1alpha1",
        "kind": "NodeTuning",
        "metadata": {"name": OTHER_NODE},
        "spec": {"engines": []},
    }
    cluster.apply(body)
    yield OTHER_NODE
    cluster.kubectl("delete", "nodetuning", OTHER_NODE, "--ignore-not-found")


def test_an_agent_may_write_the_status_of_its_own_nodes_tuning_and_of_no_other(
    tuned: Tuned, cluster: Cluster, agent: dict[str, Any], other_tuning: str, tmp_path: Path
) -> None:
    assert tuned.engines.entries(), "its own node has a NodeTuning"
    token = token_of(cluster, NAMESPACE, pod=agent["metadata"]["name"], audience=None, account="trimtab-agent")
    own = agent["spec"]["nodeName"]
    written, refused, forbidden = (
        _patch(cluster, tmp_path, token, f"{name}{part}", body)
        for name, part, body in (
            (own, "/status", {"status": {"summary": "0/0"}}),
            (other_tuning, "/status", {"status": {"summary": "0/0"}}),
            (own, "", {"spec": {"engines": []}}),
        )
    )
    assert written.status_code == 200, written.text
    assert "an agent writes the status of its own node's NodeTuning only" in refused.json()["message"]
    assert forbidden.status_code == 403, forbidden.text


def _patch(cluster: Cluster, folder: Path, token: str, path: str, body: dict[str, Any]) -> requests.Response:
    """Ask the API server whether this token may write this; nothing is written. (kubectl would read first.)"""
    url, authority = _server(cluster, folder)
    return requests.patch(
        f"{url}/apis/trimtab.dev/v1alpha1/nodetunings/{path}",
        params={"dryRun": "All"},
        data=json.dumps(body),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
        verify=authority,
        timeout=30,
    )


def _pod(name: str, **spec: Any) -> dict[str, Any]:
    """A pod of the account `default`; without containers given, one that nothing will ever start."""
    container = {"name": "server", "image": "registry.invalid/nothing:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def _server(cluster: Cluster, folder: Path) -> tuple[str, str]:
    """Return the address of the API server and the file of the certificates to trust."""
    config = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json"))
    server = config["clusters"][0]["cluster"]
    authority = server.get("certificate-authority")
    if authority is None:
        authority = str(folder / "ca.crt")
        Path(authority).write_bytes(base64.b64decode(server["certificate-authority-data"]))
    return server["server"], authority
