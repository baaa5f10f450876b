"""Trust on a real API server, with the accounts, roles and admission policies of the chart and no other right."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from fakes.certificates import a_key, chain_of, encoded, request_der, shake_hands
from harness.chart import Chart

from dev.cluster.binaries import HELM, build, go_version
from dev.cluster.paths import default_paths
from trimtab_api import wire
from trimtab_operator.clock import SystemClock
from trimtab_operator.controllers.trust.trust import Trust
from trimtab_operator.errors import KubeError, KubeForbidden, KubeInvalid
from trimtab_operator.kube.client import KubeClient
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.login import api_client
from trimtab_operator.kube.resources import CERTIFICATE_SIGNING_REQUESTS, CONFIG_MAPS, NODE_TUNINGS, SECRETS
from trimtab_operator.settings import TrustSettings
from trimtab_operator.telemetry import Telemetry

Json = dict[str, Any]
VALIDATING = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
RIGHTS = (
    "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
)  # fmt: skip
SETTLED_AT_ONCE = TrustSettings(settle_seconds=0, grace_seconds=0)


@dataclass
class Ground:
    """A release's accounts in `system`, an agent's pod on `node`, and a namespace that tunes engines."""

    api: Any
    system: str
    tuned: str
    node: str
    folder: Path

    def token(self, account: str, *bound: str) -> str:
        return str(self.api.kubectl("create", "token", account, "-n", self.system, *bound)).strip()

    def kubeconfig(self, name: str, token: str) -> str:
        """A kubeconfig of one account; the API server's address and authority are those of the person's own."""
        view = json.loads(self.api.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))
        context = {"cluster": view["clusters"][0]["name"], "user": name}
        made = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": view["clusters"],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": context}],
            "current-context": name,
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(made))
        return str(path)

    def get(self, *what: str) -> Json:
        found: Json = json.loads(self.api.kubectl("get", *what, "-o", "json"))
        return found


@pytest.fixture(scope="module")
def ground(api_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    mark = secrets.token_hex(4)
    made = Ground(
        api_server, f"trust-{mark}", f"trust-{mark}-apps", f"trust-{mark}-node", tmp_path_factory.mktemp("trust")
    )
    chart = Chart(helm=build(HELM, default_paths(), go_version()) / "helm")
    values = {"crds": {"install": False}, "rbac": {"userRoles": False}}
    rendered = chart.render(values, namespace=made.system, api_versions=[VALIDATING]).of(*RIGHTS)
    tunings = [
        {"apiVersion": NODE_TUNINGS.api_version, "kind": NODE_TUNINGS.kind, "metadata": {"name": name}, "spec": {}}
        for name in (made.node, f"{made.node}-other")
    ]
    for name in (made.system, made.tuned):
        api_server.kubectl("create", "namespace", name)
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*rendered, *tunings]})
    api_server.kubectl("apply", "--server-side", "-f", "-", input=everything)
    yield made
    api_server.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", input=everything)
    for name in (made.system, made.tuned):
        api_server.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
async def operator(ground: Ground) -> AsyncIterator[KubeClient]:
    client = await connected(ground.kubeconfig("operator", ground.token("trimtab-operator")))
    yield client
    await client.close()


@pytest.fixture
async def agent(ground: Ground) -> AsyncIterator[KubeClient]:
    """The agent in a pod on a node that does not exist: nobody runs the pod, and it can hold a token all the same."""
    name = f"agent-{secrets.token_hex(4)}"
    container = {"name": "agent", "image": "registry.invalid/agent:1"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": ground.system},
        "spec": {"nodeName": ground.node, "serviceAccountName": "trimtab-agent", "containers": [container]},
    }
    ground.api.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(pod))
    token = ground.token("trimtab-agent", "--bound-object-kind=Pod", f"--bound-object-name={name}")
    client = await connected(ground.kubeconfig("agent", token))
    yield client
    await client.close()


async def connected(kubeconfig: str) -> KubeClient:
    clock = SystemClock()
    gate = WriteGate(clock)
    gate.open_until(math.inf)
    return KubeClient(await api_client(kubeconfig), gate, Telemetry(clock), 4.0)


def trust(kube: KubeClient, ground: Ground, settings: TrustSettings = SETTLED_AT_ONCE) -> Trust:
    clock = SystemClock()
    return Trust(kube, clock, ground.system, lambda: [ground.tuned], settings, telemetry=Telemetry(clock))


async def ask(kube: KubeClient, key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> str:
    """Ask for a certificate as this client; answers the request's name."""
    name = f"trust-{secrets.token_hex(6)}"
    spec = {
        "signerName": wire.SIGNER,
        "usages": ["digital signature", "server auth"],
        "request": encoded(request_der(key, names)),
    }
    resource = CERTIFICATE_SIGNING_REQUESTS
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}, "spec": spec}
    await kube.create(resource, None, body)
    return name


async def refused(call: Callable[[], Awaitable[Any]], error: type[KubeError]) -> None:
    """Until an admission policy is in force, some seconds after it was made, the call passes."""
    async with asyncio.timeout(30):
        while True:
            try:
                await call()
            except error:
                return
            await asyncio.sleep(0.2)


async def test_an_agent_gets_a_certificate_that_engines_accept_by_what_is_published(
    ground: Ground, operator: KubeClient, agent: KubeClient
) -> None:
    key, name = a_key(), f"{wire.SERVICE}.{ground.system}.svc"
    request = await ask(agent, key, (name,))
    leader = trust(operator, ground)
    assert await leader.round() == 2
    body = await agent.get(CERTIFICATE_SIGNING_REQUESTS, None, request)
    assert [condition["type"] for condition in body["status"]["conditions"]] == ["Approved"]
    chain = "".join(each.public_bytes(Encoding.PEM).decode() for each in chain_of(body))
    bundle = ground.get("configmap", wire.CA_CONFIG_MAP, "-n", ground.tuned)["data"][wire.CA_KEY]
    assert shake_hands(ground.folder, chain, key, bundle, name).public_key() == key.public_key()
    assert ground.get("secret", "trimtab-ca", "-n", ground.system)["type"] == "Opaque"


async def test_a_request_that_the_api_server_does_not_attest_is_denied(
    ground: Ground, operator: KubeClient, api_server: Any
) -> None:
    person = await connected(str(api_server.kubeconfig))
    unbound = await connected(ground.kubeconfig("unbound", ground.token("trimtab-agent")))
    name = f"{wire.SERVICE}.{ground.system}.svc"
    asked = [await ask(client, a_key(), (name,)) for client in (person, unbound)]
    await trust(operator, ground).round()
    for request in asked:
        status = (await person.get(CERTIFICATE_SIGNING_REQUESTS, None, request))["status"]
        assert [condition["type"] for condition in status["conditions"]] == ["Denied"]
        assert "certificate" not in status
    await person.close()
    await unbound.close()


async def test_an_agents_wish_for_another_name_is_denied(
    ground: Ground, operator: KubeClient, agent: KubeClient
) -> None:
    request = await ask(agent, a_key(), ("kubernetes.default.svc",))
    await trust(operator, ground).round()
    status = (await agent.get(CERTIFICATE_SIGNING_REQUESTS, None, request))["status"]
    assert [condition["type"] for condition in status["conditions"]] == ["Denied"]


async def test_a_person_rotates_the_authority_by_an_annotation(ground: Ground, operator: KubeClient) -> None:
    leader = trust(operator, ground)
    await leader.round()
    before = leader.authority_hash
    secret = ("secret", "trimtab-ca", "-n", ground.system)
    ground.api.kubectl("annotate", *secret, f"trimtab.dev/rotate={secrets.token_hex(4)}", "--overwrite")
    await leader.round()
    assert leader.authority_hash == before
    bundle = ground.get("configmap", wire.CA_CONFIG_MAP, "-n", ground.tuned)["data"][wire.CA_KEY]
    assert bundle.count("BEGIN CERTIFICATE") == 2
    await leader.round()
    assert leader.authority_hash != before
    await leader.round()
    assert set(ground.get(*secret)["data"]) == {"ca.crt", "ca.key"}
    bundle = ground.get("configmap", wire.CA_CONFIG_MAP, "-n", ground.tuned)["data"][wire.CA_KEY]
    assert bundle.count("BEGIN CERTIFICATE") == 1


async def test_the_operator_makes_no_other_config_map_and_no_other_secret(ground: Ground, operator: KubeClient) -> None:
    def body(kind: str, **more: Any) -> Json:
        name = f"other-{secrets.token_hex(4)}"
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **more}

    await refused(lambda: operator.create(CONFIG_MAPS, ground.tuned, body("ConfigMap")), KubeInvalid)
    await refused(lambda: operator.create(SECRETS, ground.system, body("Secret", type="Opaque")), KubeInvalid)
    with pytest.raises(KubeForbidden):
        await operator.create(SECRETS, ground.tuned, body("Secret", type="Opaque"))


async def test_an_agent_writes_the_status_of_its_own_nodes_object_only(ground: Ground, agent: KubeClient) -> None:
    async def write(name: str) -> Json:
        stored = await agent.get(NODE_TUNINGS, None, name)
        version = stored["metadata"]["resourceVersion"]
        return await agent.patch_status(NODE_TUNINGS, None, name, {"observedGeneration": 1}, version)

    await refused(lambda: write(f"{ground.node}-other"), KubeInvalid)
    assert (await write(ground.node))["status"]["observedGeneration"] == 1
