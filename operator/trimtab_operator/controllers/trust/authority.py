"""A certificate authority of our own: make it, sign an agent's serving certificate with it. Time comes in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from trimtab_api import wire

AUTHORITY_NAME: Final = "trimtab-ca"
AUTHORITY_SECONDS: Final = 365 * 86400.0
LEAF_SECONDS: Final = 86400.0
BACKDATED_SECONDS: Final = 300.0
"""notBefore lies so far back: the clocks of nodes differ."""

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
_NO_USAGE: Final = dict.fromkeys(
    ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
     "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    False,
)  # fmt: skip


@dataclass(frozen=True)
class Authority:
    """One certificate with its key; the key stands in no repr."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    @property
    def certificate_pem(self) -> str:
        """The certificate as PEM, which everybody may read."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The key as PEM, for the Secret only."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def hash(self) -> str:
        """16 hex digits that name this authority: the start of the SHA-256 of its certificate's DER."""
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest()[:16]

    @property
    def expires_at(self) -> float:
        """Unix seconds."""
        return self.certificate.not_valid_after_utc.timestamp()


def make_authority(now: float) -> Authority:
    """Make an authority for one year from `now` (unix seconds), which may sign leaves only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY_NAME)])
    # Two authorities of a rotation have one name: the key identifiers tell which of them signed a leaf.
    certificate = (
        _builder(name, name, key.public_key(), now, now + AUTHORITY_SECONDS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def load_authority(certificate_pem: bytes, key_pem: bytes) -> Authority | None:
    """Read an authority as stored; None where the two cannot be read or do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = load_pem_private_key(key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return Authority(certificate, key)


def sign_leaf(authority: Authority, public_key: PublicKey, names: Sequence[str], now: float) -> str:
    """Sign a serving certificate for DNS `names`, 24 h from `now` (unix seconds); answers the chain as PEM.

    Nothing of the request but its public key comes in: subject, usages and life are ours.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wire.SERVICE)])
    issuer_key = authority.key.public_key()
    until = min(now + LEAF_SECONDS, authority.expires_at)
    rsa_uses = ("key_encipherment",) if isinstance(public_key, rsa.RSAPublicKey) else ()
    leaf = (
        _builder(subject, authority.certificate.subject, public_key, now, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature", *rsa_uses), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return leaf.public_bytes(Encoding.PEM).decode() + authority.certificate_pem


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, now: float, until: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now, UTC) - timedelta(seconds=BACKDATED_SECONDS))
        .not_valid_after(datetime.fromtimestamp(until, UTC))
    )


def _usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{**_NO_USAGE, **dict.fromkeys(names, True)})
