"""What is signed, and each reason to deny."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fakes.certificates import NAMES, SYSTEM, Key, a_key, encoded, request_body, request_der
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_operator.controllers.trust.requests import Deny, Ignore, Sign, decide

NODE = "authentication.kubernetes.io/node-name"
DER = request_der(a_key())
STRONG: dict[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "P-256": a_key,
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA of 2048 bits": lambda: rsa.generate_private_key(65537, 2048),
}
WEAK: dict[str, Callable[[], Key]] = {
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "RSA of 1024 bits": lambda: rsa.generate_private_key(65537, 1024),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


@pytest.mark.parametrize("kind", STRONG)
def test_an_agents_request_is_signed_for_its_key_and_the_names_that_it_asks_for(kind: str) -> None:
    key = STRONG[kind]()
    decision = decide(request_body(der=request_der(key, NAMES[1:])), SYSTEM)
    assert decision == Sign(key.public_key(), tuple(sorted(NAMES[1:])))


@pytest.mark.parametrize(
    "usages", [["server auth"], ["digital signature", "key encipherment", "server auth"]], ids=["least", "most"]
)
def test_the_usages_of_a_server_are_accepted(usages: list[str]) -> None:
    assert isinstance(decide(request_body(usages=usages), SYSTEM), Sign)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"username": "kubernetes-admin"}, "only system:serviceaccount:sys:trimtab-agent", id="a person"),
        pytest.param(
            {"username": "system:serviceaccount:sys:default"}, "only system:serviceaccount", id="another account"
        ),
        pytest.param({"username": "sys:trimtab-agent"}, "only system:serviceaccount", id="a user with such a name"),
        pytest.param({"username": None}, "only system:serviceaccount", id="nobody"),
        pytest.param({"extra": {}}, "does not attest", id="a token that no pod holds"),
        pytest.param({"extra": None}, "does not attest", id="no extra at all"),
        pytest.param({"extra": {NODE: []}}, "does not attest", id="no node"),
        pytest.param({"extra": {NODE: [""]}}, "does not attest", id="a node without a name"),
        pytest.param({"extra": {NODE: ["a", "b"]}}, "does not attest", id="two nodes"),
        pytest.param({"usages": ["digital signature"]}, "lack 'server auth'", id="no server auth"),
        pytest.param({"usages": None}, "lack 'server auth'", id="no usages"),
        pytest.param({"usages": ["server auth", "client auth"]}, "usages other than", id="client auth"),
        pytest.param({"usages": ["server auth", "cert sign"]}, "usages other than", id="an authority's usage"),
        pytest.param({"request": ""}, "cannot be read", id="empty"),
        pytest.param({"request": "%%%"}, "cannot be read", id="no base64"),
        pytest.param({"request": base64.b64encode(b"hello").decode()}, "cannot be read", id="no PEM"),
        pytest.param({"request": encoded(DER[:-1] + bytes([DER[-1] ^ 1]))}, "cannot be read", id="a foreign signature"),
    ],
)
def test_what_the_api_server_does_not_attest_is_denied(spec: dict[str, Any], said: str) -> None:
    decision = decide(request_body(**spec), SYSTEM)
    assert isinstance(decision, Deny)
    assert said in decision.reason


@pytest.mark.parametrize(
    ("names", "others", "said"),
    [
        pytest.param((), (), "no DNS name", id="no name"),
        pytest.param(("kubernetes",), (), "names other than", id="another service"),
        pytest.param((*NAMES, "trimtab-agent.prod"), (), "names other than", id="another namespace"),
        pytest.param(("*.sys.svc",), (), "names other than", id="a wildcard"),
        pytest.param(("TRIMTAB-AGENT.sys",), (), "names other than", id="other letters"),
        pytest.param(NAMES, (x509.IPAddress(ipaddress.ip_address("10.0.0.1")),), "only DNS names", id="an address"),
        pytest.param(NAMES, (x509.UniformResourceIdentifier("spiffe://a/b"),), "only DNS names", id="a URI"),
        pytest.param(NAMES, (x509.RFC822Name("a@b.example"),), "only DNS names", id="an e-mail"),
    ],
)
def test_a_name_that_is_not_the_services_is_denied(
    names: tuple[str, ...], others: tuple[x509.GeneralName, ...], said: str
) -> None:
    decision = decide(request_body(der=request_der(a_key(), names, others)), SYSTEM)
    assert isinstance(decision, Deny)
    assert said in decision.reason


@pytest.mark.parametrize("kind", WEAK)
def test_a_key_that_is_weak_or_of_another_kind_is_denied(kind: str) -> None:
    decision = decide(request_body(der=request_der(WEAK[kind]())), SYSTEM)
    assert isinstance(decision, Deny)
    assert "the key must be" in decision.reason


@pytest.mark.parametrize(
    "status",
    [
        {"certificate": "LS0t"},
        {"conditions": [{"type": "Denied"}]},
        {"conditions": [{"type": "Approved"}, {"type": "Failed"}]},
    ],
    ids=["issued", "denied", "failed"],
)
def test_an_answered_request_is_left_alone(status: dict[str, Any]) -> None:
    assert decide({**request_body(), "status": status}, SYSTEM) == Ignore()


def test_an_approved_request_is_judged_all_the_same() -> None:
    approved = {"conditions": [{"type": "Approved"}]}
    assert isinstance(decide({**request_body(), "status": approved}, SYSTEM), Sign)
    assert isinstance(decide({**request_body(username="eve"), "status": approved}, SYSTEM), Deny)


@pytest.mark.parametrize(
    "spec",
    [
        {"signerName": "kubernetes.io/kubelet-serving"},
        {"signerName": None},
        {"username": "system:serviceaccount:second-release:trimtab-agent"},
    ],
    ids=["the kubelet's signer", "no signer", "an agent of a second release"],
)
def test_what_is_for_somebody_else_is_left_alone(spec: dict[str, Any]) -> None:
    assert decide(request_body(**spec), SYSTEM) == Ignore()


@settings(max_examples=200)
@given(place=st.integers(0, len(DER) - 1), byte=st.integers(0, 255), cut=st.integers(0, 20))
def test_no_damaged_request_breaks_the_decision(place: int, byte: int, cut: int) -> None:
    damaged = DER[:place] + bytes([byte]) + DER[place + 1 : len(DER) - cut]
    decision = decide(request_body(der=damaged), SYSTEM)
    assert damaged == DER or isinstance(decision, Deny)
