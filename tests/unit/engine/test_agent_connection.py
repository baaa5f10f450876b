"""One exchange with an agent, over real TLS: bounded in time and size, whatever the other side does."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.engine_agent import POD_UID, Authority, a_token

from trimtab_api.wire import MAX_BODY_BYTES
from trimtab_engine.agent_link.connection import AgentConnection, Reply
from trimtab_engine.agent_link.credentials import Token
from trimtab_engine.agent_link.failures import LinkError
from trimtab_engine.metrics import AgentState
from trimtab_engine.settings import AgentSettings

TOKEN = Token(a_token(), POD_UID)
AUTHORITY = Authority()
Talk = Callable[[ssl.SSLSocket], None]


def say(text: bytes) -> Talk:
    """Read one request, send this, hang up."""

    def talk(client: ssl.SSLSocket) -> None:
        client.recv(65536)
        client.sendall(text)

    return talk


def drip(first: bytes) -> Talk:
    """Begin an answer and go on with a byte now and then, for ever."""

    def talk(client: ssl.SSLSocket) -> None:
        client.recv(65536)
        client.sendall(first)
        hung_up = threading.Event()
        while not hung_up.wait(0.05):
            client.sendall(b"a")

    return talk


@contextlib.contextmanager
def a_server(directory: Path, *talks: Talk) -> Iterator[AgentConnection]:
    """A connection to a server that treats its n-th client as the n-th talk says."""
    context = AUTHORITY.serving_context(directory)
    (directory / "ca.crt").write_bytes(AUTHORITY.pem)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for talk in talks:
            with contextlib.suppress(OSError):
                plain, _ = listener.accept()
                with plain, context.wrap_socket(plain, server_side=True) as client:
                    talk(client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    settings = AgentSettings("127.0.0.1", listener.getsockname()[1], "", str(directory / "ca.crt"))
    connection = AgentConnection(settings)
    try:
        yield connection
    finally:
        connection.close()
        thread.join(10)
        listener.close()


def ask(connection: AgentConnection, seconds: float = 20.0) -> Reply:
    return connection.ask(TOKEN, "GET", "/v1/settings?wait=1", None, seconds)


def failure(connection: AgentConnection, seconds: float = 20.0) -> tuple[str, AgentState | None]:
    with pytest.raises(LinkError) as raised:
        ask(connection, seconds)
    return raised.value.reason, raised.value.state


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"])
def test_an_answer_that_drips_ends_with_the_time_for_the_whole(tmp_path: Path, first: bytes) -> None:
    with a_server(tmp_path, drip(first)) as connection:
        began = time.monotonic()
        assert failure(connection, 1.0) == ("TimedOut", None)
        assert time.monotonic() - began < 8


def test_a_body_without_end_is_read_no_further_than_a_document_can_be(tmp_path: Path) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 200_000
    with a_server(tmp_path, say(endless), say(b"HTTP/1.1 204 No Content\r\n\r\n")) as connection:
        assert len(ask(connection).body) == MAX_BODY_BYTES + 1
        assert ask(connection).status == 204  # on another connection: the rest was not read


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"H%d: x\r\n" % number for number in range(200)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"",
    ],
    ids=["no HTTP", "half a body", "too many headers", "no chunks", "nothing"],
)
def test_what_is_no_answer_counts_as_none(tmp_path: Path, answer: bytes) -> None:
    with a_server(tmp_path, say(answer)) as connection:
        assert failure(connection) == ("Unreachable", None)


def test_status_reason_and_body_are_handed_on(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 429 Busy\r\nRetry-After: 7\r\ntrimtab-reason: Busy\r\nContent-Length: 2\r\n\r\nhi"
    with a_server(tmp_path, say(answer)) as connection:
        assert ask(connection) == Reply(429, "Busy", "7", b"hi")


def test_a_redirect_is_an_answer_and_is_not_followed(tmp_path: Path) -> None:
    answer = b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    with a_server(tmp_path, say(answer)) as connection:
        assert ask(connection).status == 302


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_again_at_once(tmp_path: Path) -> None:
    empty = b"HTTP/1.1 204 No Content\r\n\r\n"
    with a_server(tmp_path, say(empty), say(empty), say(empty)) as connection:
        assert [ask(connection).status for _ in itertools.repeat(None, 3)] == [204, 204, 204]


def test_an_agent_that_no_ca_of_ours_vouches_for_gets_no_request(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with a_server(tmp_path, lambda client: heard.append(client.recv(65536))) as connection:
        (tmp_path / "ca.crt").write_bytes(Authority().pem)
        assert failure(connection) == ("CertificateNotTrusted", AgentState.UNTRUSTED)
    assert heard in ([], [b""])


def test_a_refused_connection_counts_as_unreachable(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.pem)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert failure(AgentConnection(AgentSettings("127.0.0.1", port, "", str(tmp_path / "ca.crt")))) == (
        "Unreachable",
        None,
    )
