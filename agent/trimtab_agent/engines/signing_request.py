"""Keys, certificate signing requests, and what an issued certificate says: pure but for the dice of the key."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trimtab_api.wire import SERVICE, SIGNER

Json = dict[str, Any]

LIFE_SECONDS = 86_400
MAX_NODE_CHARACTERS = 200
"""Of the node's name in the request's, which is at most 253 long."""


class BadCertificateError(ValueError):
    """What was issued is no certificate for our key."""


@dataclass(frozen=True)
class Issued:
    """A certificate with its key; `chain` is PEM, the serving certificate first, then its issuer."""

    chain: bytes
    key: bytes
    not_before: datetime
    not_after: datetime
    issuer: str | None
    """The hash of the issuing certificate, as the operator writes it; None where the chain does not hold it."""

    def renew_at(self) -> datetime:
        """When two thirds of its life are over."""
        return self.not_before + timedelta(seconds=(self.not_after - self.not_before).total_seconds() * 2 / 3)


def service_names(namespace: str) -> tuple[str, ...]:
    """Return the names under which engines reach the agents' Service; the first is the common name."""
    return f"{SERVICE}.{namespace}.svc", f"{SERVICE}.{namespace}.svc.cluster.local", f"{SERVICE}.{namespace}"


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key; it lives in this process only."""
    return ec.generate_private_key(ec.SECP256R1())


def certificate_request(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> bytes:
    """Return the PKCS#10 request for these names, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def request_object(node: str, key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> Json:
    """Return the CertificateSigningRequest of a node's key: another key has another name."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    name = f"{SERVICE}-{node[:MAX_NODE_CHARACTERS]}-{hashlib.sha256(public).hexdigest()[:16]}"
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(certificate_request(key, names)).decode(),
            "signerName": SIGNER,
            "usages": ["digital signature", "server auth"],
            "expirationSeconds": LIFE_SECONDS,
        },
    }


def read_issued(chain: bytes, key: ec.EllipticCurvePrivateKey) -> Issued:
    """Read what was issued for our key. Raises BadCertificateError."""
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise BadCertificateError("what was issued cannot be read") from error
    serving = certificates[0]
    if serving.public_key() != key.public_key():
        raise BadCertificateError("what was issued is not for our key")
    return Issued(
        chain=chain,
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        not_before=serving.not_valid_before_utc,
        not_after=serving.not_valid_after_utc,
        issuer=authority_hash(certificates[1]) if len(certificates) > 1 else None,
    )


def authority_hash(certificate: x509.Certificate) -> str:
    """Return 16 hex digits that name the certificate of an authority."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()[:16]
