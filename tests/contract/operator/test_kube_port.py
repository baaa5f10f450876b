"""The operator's port to Kubernetes on a real API server: the checks that the fake passes, too."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fakes.kube_conformance import CHECKS, Check

from trimtab_operator.clock import SystemClock
from trimtab_operator.errors import LeadershipLost
from trimtab_operator.kube.client import KubeClient
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.login import api_client
from trimtab_operator.kube.resources import Resource
from trimtab_operator.telemetry import Telemetry


@pytest.fixture
def namespace(api_server: Any) -> Iterator[str]:
    name = f"port-{uuid.uuid4().hex[:8]}"
    api_server.kubectl("create", "namespace", name)
    yield name
    api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
async def kube(api_server: Any) -> AsyncIterator[tuple[KubeClient, WriteGate]]:
    clock = SystemClock()
    gate = WriteGate(clock)
    gate.open_until(math.inf)
    client = KubeClient(await api_client(str(api_server.kubeconfig)), gate, Telemetry(clock), 4.0)
    yield client, gate
    await client.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_real_server_behaves_like_the_fake(
    check: Check, kube: tuple[KubeClient, WriteGate], namespace: str, api_server: Any
) -> None:
    """Each check asserts one promise of an API server: fakes/kube_conformance.py."""

    def create(_: Resource, body: dict[str, Any]) -> None:
        api_server.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))

    await check(kube[0], namespace, create)


async def test_a_closed_gate_sends_nothing(kube: tuple[KubeClient, WriteGate], namespace: str, api_server: Any) -> None:
    client, gate = kube
    gate.close()
    with pytest.raises(LeadershipLost):
        await client.create_event(namespace, {"metadata": {"name": "x", "namespace": namespace}})
    assert json.loads(api_server.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"] == []
