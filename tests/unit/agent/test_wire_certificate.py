"""The wire's certificate: what is asked for, renewal while engines are connected, and denials."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from fakes.agent_api import Authority
from fakes.agent_wire import NAME, WireWorld, entry, hang_up, other_than, until, wire_world

from trimtab_agent.engines.signing_request import (
    BadCertificateError,
    Issued,
    authority_hash,
    new_key,
    read_issued,
    request_object,
    service_names,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WireWorld]:
    async with wire_world(tmp_path) as found:
        yield found


def test_a_request_names_the_service_and_asks_for_a_day_of_serving() -> None:
    key = new_key()
    body = request_object("node-1", key, service_names("ns"))
    assert body["spec"]["signerName"] == "trimtab.dev/agent-serving"
    assert body["spec"]["usages"] == ["digital signature", "server auth"]
    assert body["spec"]["expirationSeconds"] == 86_400
    request = x509.load_pem_x509_csr(base64.b64decode(body["spec"]["request"]))
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    expected = ["trimtab-agent.ns.svc", "trimtab-agent.ns.svc.cluster.local", "trimtab-agent.ns"]
    assert [name.value for name in names] == expected
    assert [each.value for each in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == expected[:1]
    assert len(list(request.subject)) == 1
    assert request.is_signature_valid
    assert request.public_key() == key.public_key()


def test_a_requests_name_is_that_of_node_and_key_and_short_enough() -> None:
    key, other = new_key(), new_key()
    names = service_names("ns")
    name = request_object("node-1", key, names)["metadata"]["name"]
    assert name == request_object("node-1", key, names)["metadata"]["name"]
    assert name.startswith("trimtab-agent-node-1-")
    assert name != request_object("node-1", other, names)["metadata"]["name"]
    assert len(request_object("n" * 253, key, names)["metadata"]["name"]) <= 253


def test_what_was_issued_is_read_with_its_issuer_and_renewed_at_two_thirds() -> None:
    key, authority = new_key(), Authority("agents")
    request = base64.b64decode(request_object("n", key, service_names("ns"))["spec"]["request"])
    issued = read_issued(authority.sign(request, 300), key)
    assert issued.issuer == authority_hash(authority.certificate)
    assert issued.renew_at() - issued.not_before == (issued.not_after - issued.not_before) * 2 / 3
    alone = read_issued(authority.sign(request, 300).split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----", key)  # fmt: skip  # noqa: E501
    assert alone.issuer is None


@pytest.mark.parametrize("chain", [b"", b"no certificate"])
def test_what_is_no_certificate_is_not_loaded(chain: bytes) -> None:
    with pytest.raises(BadCertificateError):
        read_issued(chain, new_key())


def test_a_certificate_for_another_key_is_not_loaded() -> None:
    request = base64.b64decode(request_object("n", new_key(), service_names("ns"))["spec"]["request"])
    with pytest.raises(BadCertificateError):
        read_issued(Authority("agents").sign(request, 300), new_key())


async def test_a_new_authority_renews_at_once_and_open_connections_go_on(world: WireWorld) -> None:
    mine = entry("a")
    await world.api.write(mine, annotations={"trimtab.dev/ca": authority_hash(world.api.signer.certificate)})
    token = world.pod("a")
    async with world.agent():
        before = await world.served_certificate()
        reader, writer = await world.connect()
        await _ask(writer, token)
        assert (await _head(reader)).startswith(b"HTTP/1.1 200")
        world.api.change_signer("agents-2")
        renewed = {"trimtab.dev/ca": authority_hash(world.api.signer.certificate)}
        await world.api.write(mine, annotations=renewed)
        after = await other_than(before, world.served_certificate)
        await _ask(writer, token)
        assert (await _head(reader)).startswith(b"HTTP/1.1 200")
        await hang_up(writer)
    issuers = [x509.load_der_x509_certificate(each).issuer.rfc4514_string() for each in (before, after)]
    assert issuers == ["CN=agents", "CN=agents-2"]


async def test_a_certificate_is_renewed_long_before_it_ends(world: WireWorld) -> None:
    world.api.life_seconds = 2
    async with world.agent() as wire:
        first = wire.reading().certificate_expires_seconds
        await until(lambda: wire.reading().certificate_expires_seconds != first, "it is renewed")
        assert first is not None
        assert datetime.now(UTC).timestamp() < first
        assert await world.served_certificate()


async def test_an_authority_that_does_not_sign_yet_is_not_asked_in_a_tight_loop(world: WireWorld) -> None:
    await world.api.write(entry("a"), annotations={"trimtab.dev/ca": "0123456789abcdef"})
    async with world.agent():
        await until(lambda: len(world.api.signing) >= 3, "it asks again")
        started, asked = asyncio.get_running_loop().time(), len(world.api.signing)
        await until(lambda: len(world.api.signing) >= asked + 3, "and again")
        assert asyncio.get_running_loop().time() - started >= 3 * 0.09


async def test_a_denied_request_is_followed_by_another_with_another_key(world: WireWorld) -> None:
    world.api.deny = 2
    async with world.agent():
        assert len(world.api.signing) == 3
        assert await world.served_certificate()


async def test_before_the_first_certificate_a_handshake_fails_and_does_not_hang(world: WireWorld) -> None:
    world.api.deny = 10_000
    running = asyncio.create_task(_enter(world))
    await until(lambda: world.port and world.api.signing, "it listens and was denied")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.wait_for(world.connect(), 5)
    world.api.deny = 0
    await running


async def test_an_engine_that_trusts_another_authority_or_name_does_not_connect(world: WireWorld) -> None:
    async with world.agent():
        stranger = ssl.create_default_context(cadata=Authority("other").pem.decode())
        for trust, name in ((stranger, NAME), (world.trust(), "trimtab-agent.other.svc")):
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await world.session.get(
                    f"https://127.0.0.1:{world.port}/v1/settings", ssl=trust, server_hostname=name
                )  # fmt: skip


async def test_older_tls_than_1_3_is_refused(world: WireWorld) -> None:
    async with world.agent():
        trust = world.trust()
        trust.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", world.port, ssl=trust, server_hostname=NAME)


async def test_the_key_is_in_no_file(world: WireWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    async with world.agent():
        assert await world.served_certificate()
        assert list(temporary.iterdir()) == []


def test_a_life_of_a_day_is_renewed_after_16_hours() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    issued = Issued(b"", b"", start, start + timedelta(days=1), None)
    assert issued.renew_at() == start + timedelta(hours=16)


async def _enter(world: WireWorld) -> None:
    async with world.agent():
        await world.served_certificate()


async def _ask(writer: asyncio.StreamWriter, token: str) -> None:
    writer.write(f"GET /v1/settings HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    await writer.drain()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Read one answer, return its head."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head
