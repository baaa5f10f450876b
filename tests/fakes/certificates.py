"""Certificate requests as agents make them, and as they must not be; TLS hand-shakes in memory."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from trimtab_api import wire

Json = dict[str, Any]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

SYSTEM = "sys"
NAMES = tuple(f"trimtab-agent.{SYSTEM}{end}" for end in ("", ".svc", ".svc.cluster.local"))


def a_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request_der(key: Key, names: Sequence[str] = NAMES, others: Sequence[x509.GeneralName] = ()) -> bytes:
    """A PKCS #10 request by `key` for DNS `names` and `others`, with a subject that nobody shall copy."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "system:masters")])
    alternative = [*map(x509.DNSName, names), *others]
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def encoded(der: bytes) -> str:
    """As spec.request carries it: base64 of PEM."""
    body = base64.encodebytes(der).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    return base64.b64encode(pem.encode()).decode()


def request_body(name: str = "agent-1", der: bytes | None = None, **spec: Any) -> Json:
    """A CertificateSigningRequest of the agent on node-1, as the API server stores it."""
    return {
        "metadata": {"name": name},
        "spec": {
            "signerName": wire.SIGNER,
            "username": f"system:serviceaccount:{SYSTEM}:trimtab-agent",
            "extra": {"authentication.kubernetes.io/node-name": ["node-1"]},
            "usages": ["digital signature", "server auth"],
            "request": encoded(request_der(a_key()) if der is None else der),
            **spec,
        },
        "status": {},
    }


def chain_of(body: Json) -> list[x509.Certificate]:
    """The issued chain of a CertificateSigningRequest, leaf first."""
    return x509.load_pem_x509_certificates(base64.b64decode(body["status"]["certificate"]))


def shake_hands(folder: Path, chain_pem: str, key: Key, bundle_pem: str, name: str) -> x509.Certificate:
    """The server certificate that a client accepts which trusts `bundle_pem` and asks for `name`; or ssl.SSLError."""
    file = folder / "server.pem"
    file.write_text(chain_pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    trusting.load_verify_locations(cadata=bundle_pem)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(down, up, server_hostname=name)
    server = serving.wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    for side in [client, server] * 3:
        if side in waiting:
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
    assert waiting == []
    accepted = client.getpeercert(binary_form=True)
    assert accepted is not None
    return x509.load_der_x509_certificate(accepted)
