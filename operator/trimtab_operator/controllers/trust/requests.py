"""What to answer to one CertificateSigningRequest: sign only what the API server attests to come from an agent.

The API server writes username and extra itself; the rest of the request is what the sender likes to say.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from trimtab_api import wire
from trimtab_operator.controllers.trust.authority import PublicKey

ACCOUNT: Final = "trimtab-agent"
NODE_NAME: Final = "authentication.kubernetes.io/node-name"
SERVER_AUTH: Final = "server auth"
USAGES: Final = frozenset({"digital signature", "key encipherment", SERVER_AUTH})
CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
SMALLEST_RSA_BITS: Final = 2048

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class Sign:
    """Approve and sign: this key under these DNS names."""

    public_key: PublicKey
    names: tuple[str, ...]


@dataclass(frozen=True)
class Deny:
    """Refuse for good, with the reason as a sentence."""

    reason: str


@dataclass(frozen=True)
class Ignore:
    """Not ours, answered already, or for the operator of another release."""


Decision = Sign | Deny | Ignore


@dataclass(frozen=True)
class _Asked:
    """What the PEM in a request asks for."""

    public_key: object
    names: frozenset[str]
    has_other_names: bool


def decide(body: Mapping[str, Any], namespace: str) -> Decision:
    """Decide about the request `body` for the agents in `namespace`."""
    spec: Mapping[str, Any] = body.get("spec") or {}
    if spec.get("signerName") != wire.SIGNER or _is_answered(body.get("status") or {}):
        return Ignore()
    if _is_of_another_release(str(spec.get("username")), namespace):
        return Ignore()
    for problem in _sender_problems(spec, namespace):
        return Deny(problem)
    asked = _read(str(spec.get("request") or ""))
    if asked is None:
        return Deny("the request cannot be read, or is not signed with its own key")
    for problem in _content_problems(asked, allowed_names(namespace)):
        return Deny(problem)
    assert isinstance(asked.public_key, PublicKey)  # noqa: S101 - narrows what was just checked
    return Sign(asked.public_key, tuple(sorted(asked.names)))


def allowed_names(namespace: str) -> frozenset[str]:
    """Return the names of the agents' Service; a certificate is never made for any other."""
    short = f"{wire.SERVICE}.{namespace}"
    return frozenset({short, f"{short}.svc", f"{short}.svc.cluster.local"})


def is_approved(body: Mapping[str, Any]) -> bool:
    """Whether somebody approved the request: by us before a restart, or by a person."""
    return "Approved" in _conditions(body.get("status") or {})


def _is_answered(status: Mapping[str, Any]) -> bool:
    return bool(status.get("certificate")) or not _conditions(status).isdisjoint({"Denied", "Failed"})


def _conditions(status: Mapping[str, Any]) -> set[str]:
    return {str(condition.get("type")) for condition in status.get("conditions") or []}


def _is_of_another_release(username: str, namespace: str) -> bool:
    """Agents of a second installation ask the same signer; its own operator answers them."""
    kind, _, account = username.rpartition(":")
    return account == ACCOUNT and kind.startswith("system:serviceaccount:") and kind != _accounts(namespace)


def _accounts(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}"


def _sender_problems(spec: Mapping[str, Any], namespace: str) -> Iterator[str]:
    account = f"{_accounts(namespace)}:{ACCOUNT}"
    if spec.get("username") != account:
        yield f"only {account} may ask for such a certificate"
    nodes = (spec.get("extra") or {}).get(NODE_NAME) or []
    if len(nodes) != 1 or not nodes[0]:
        yield f"the API server does not attest the sender's node ({NODE_NAME}): the token is not bound to a pod"
    usages = set(spec.get("usages") or [])
    if SERVER_AUTH not in usages:
        yield f"the usages lack {SERVER_AUTH!r}"
    if usages - USAGES:
        yield f"usages other than {', '.join(sorted(USAGES))} are not given"


def _content_problems(asked: _Asked, allowed: frozenset[str]) -> Iterator[str]:
    if asked.has_other_names:
        yield "only DNS names are given: no address, URI, e-mail or other name"
    if not asked.names:
        yield "the request names no DNS name"
    if asked.names - allowed:
        yield f"names other than {', '.join(sorted(allowed))} are not given"
    if not _is_strong(asked.public_key):
        yield f"the key must be EC P-256, EC P-384 or RSA of at least {SMALLEST_RSA_BITS} bits"


def _is_strong(key: object) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, CURVES)
    return isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA_BITS


def _read(request: str) -> _Asked | None:
    """Parse base64 of PEM; None where that fails or the signature is not by the request's own key."""
    try:
        parsed = x509.load_pem_x509_csr(base64.b64decode(request, validate=True))
        names = _alternative_names(parsed)
        if not parsed.is_signature_valid:
            return None
        dns = frozenset(name.value for name in names if isinstance(name, x509.DNSName))
        others = any(not isinstance(name, x509.DNSName) for name in names)
        return _Asked(parsed.public_key(), dns, others)
    except _UNREADABLE:
        return None


def _alternative_names(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []
