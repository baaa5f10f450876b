"""The authority and what it signs, judged by OpenSSL."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from fakes.certificates import NAMES, a_key, shake_hands

from trimtab_operator.controllers.trust.authority import Authority, load_authority, make_authority, sign_leaf

NOW = 1_700_000_000.0
DAY = 86_400.0


def leaf_of(authority: Authority, now: float = NOW) -> x509.Certificate:
    return x509.load_pem_x509_certificates(sign_leaf(authority, a_key().public_key(), NAMES, now).encode())[0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["P-256", "P-384", "RSA"])
def test_a_client_that_trusts_the_authority_accepts_the_agent_by_each_of_its_names(
    kind: str, name: str, tmp_path: Path
) -> None:
    now, authority = time.time(), make_authority(time.time())
    kinds: dict[str, Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
        "P-256": a_key,
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
    }
    key = kinds[kind]()
    chain = sign_leaf(authority, key.public_key(), NAMES, now)
    accepted = shake_hands(tmp_path, chain, key, authority.certificate_pem, name)
    assert accepted.public_key() == key.public_key()


@pytest.mark.parametrize("signs", ["old", "new"])
def test_during_a_rotation_leaves_of_both_authorities_are_accepted(signs: str, tmp_path: Path) -> None:
    now, key = time.time(), a_key()
    old, new = make_authority(now), make_authority(now)
    bundle = new.certificate_pem + old.certificate_pem
    chain = sign_leaf(old if signs == "old" else new, key.public_key(), NAMES, now)
    accepted = shake_hands(tmp_path, chain, key, bundle, NAMES[0])
    assert accepted.public_key() == key.public_key()


def test_a_leaf_of_another_authority_of_the_same_name_is_refused(tmp_path: Path) -> None:
    now, key = time.time(), a_key()
    ours, other = make_authority(now), make_authority(now)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tmp_path, sign_leaf(other, key.public_key(), NAMES, now), key, ours.certificate_pem, NAMES[0])


def test_a_leaf_is_refused_under_any_other_name(tmp_path: Path) -> None:
    now, key, authority = time.time(), a_key(), make_authority(time.time())
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(
            tmp_path, sign_leaf(authority, key.public_key(), NAMES, now), key, authority.certificate_pem, "kubernetes"
        )


def test_the_authority_lives_a_year_and_signs_no_further_authority() -> None:
    authority = make_authority(NOW)
    constraints = authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.value.ca, constraints.value.path_length, constraints.critical) == (True, 0, True)
    assert authority.expires_at == NOW + 365 * DAY
    assert authority.certificate.not_valid_before_utc.timestamp() == NOW - 300
    assert authority.certificate.subject.rfc4514_string() == "CN=trimtab-ca"


def test_a_leaf_serves_for_a_day_and_can_do_nothing_else() -> None:
    leaf = leaf_of(make_authority(NOW - DAY))
    assert leaf.not_valid_before_utc.timestamp() == NOW - 300
    assert leaf.not_valid_after_utc.timestamp() == NOW + DAY
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES


def test_a_leaf_never_outlives_its_authority() -> None:
    authority = make_authority(NOW)
    assert leaf_of(authority, NOW + 365 * DAY - 60).not_valid_after_utc.timestamp() == authority.expires_at


def test_the_chain_is_the_leaf_and_the_authority_that_signed_it() -> None:
    authority = make_authority(NOW)
    chain = x509.load_pem_x509_certificates(sign_leaf(authority, a_key().public_key(), NAMES, NOW).encode())
    assert chain[1:] == [authority.certificate]
    chain[0].verify_directly_issued_by(chain[1])


def test_no_two_certificates_share_a_serial_number() -> None:
    authority = make_authority(NOW)
    serials = [leaf_of(authority).serial_number for _ in range(20)] + [authority.certificate.serial_number]
    assert len(set(serials)) == len(serials)


def test_an_authority_is_read_as_it_was_written() -> None:
    authority = make_authority(NOW)
    read = load_authority(authority.certificate_pem.encode(), authority.key_pem.encode())
    assert read == authority
    assert read is not None
    assert read.hash == authority.hash
    assert len(read.hash) == 16
    assert read.hash != make_authority(NOW).hash


def test_what_does_not_belong_together_is_no_authority() -> None:
    one, other = make_authority(NOW), make_authority(NOW)
    assert load_authority(one.certificate_pem.encode(), other.key_pem.encode()) is None
    assert load_authority(one.certificate_pem.encode(), b"-----BEGIN PRIVATE KEY-----\nx\n") is None
    assert load_authority(b"", one.key_pem.encode()) is None


def test_the_key_stands_in_no_repr() -> None:
    assert "key" not in repr(make_authority(NOW))
