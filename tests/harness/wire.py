"""The wire to an agent, dialled from this host by the pod's address: as an engine does, or somebody who should not."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from harness.cluster import Cluster
from harness.platform import NAMESPACE

from trimtab_api.wire import AUDIENCE, CA_CONFIG_MAP, CA_KEY, PORT, REASON_HEADER, SERVICE, SETTINGS_PATH

NAME = f"{SERVICE}.{NAMESPACE}.svc"


@dataclass(frozen=True)
class Answer:
    """Status, the reason in the header ("" without one), and the document where there is one."""

    status: int
    reason: str
    document: dict[str, Any] | None


def trusted(cluster: Cluster, namespace: str) -> str:
    """The certificates that engines of a namespace trust, as PEM."""
    found = cluster.get("configmap", CA_CONFIG_MAP, namespace)
    assert found, f"no ConfigMap {CA_CONFIG_MAP} in {namespace}"
    return str(found["data"][CA_KEY])


def vouches(certificates: str, address: str) -> bool:
    """Whether these certificates vouch for what the agent at this address serves with now."""
    try:
        _connection(certificates, address).close()
    except ssl.SSLCertVerificationError:
        return False
    return True


def ask(certificates: str, address: str, token: str) -> Answer:
    """Ask the agent for settings, without waiting for news, as whoever holds this token."""
    with _connection(certificates, address) as secured:
        connection = http.client.HTTPConnection(NAME, PORT, timeout=10)
        connection.sock = secured
        connection.request("GET", f"{SETTINGS_PATH}?wait=0", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        body = response.read()
        document = json.loads(body) if response.status == 200 else None
        return Answer(response.status, response.getheader(REASON_HEADER, ""), document)


def token_of(
    cluster: Cluster, namespace: str, *, pod: str | None, audience: str | None = AUDIENCE, account: str = "default"
) -> str:
    """A token of a service account, bound to a pod of it; `pod` None is bound to none, `audience` None is the API's."""
    bound = () if pod is None else ("--bound-object-kind", "Pod", "--bound-object-name", pod)
    meant = () if audience is None else ("--audience", audience)
    return cluster.kubectl("-n", namespace, "create", "token", account, *meant, *bound).strip()


def _connection(certificates: str, address: str) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=certificates)
    return context.wrap_socket(socket.create_connection((address, PORT), timeout=10), server_hostname=NAME)
