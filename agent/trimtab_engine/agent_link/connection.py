"""HTTPS to the agent: one connection kept open, each exchange bounded in time and size as a whole."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trimtab_api.wire import MAX_BODY_BYTES, REASON_HEADER
from trimtab_engine.agent_link.credentials import Token, read_ca, trust
from trimtab_engine.agent_link.failures import LinkError, untrusted
from trimtab_engine.settings import AgentSettings

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the agent answered; `body` may be one byte longer than a document can be, never more."""

    status: int
    reason: str
    retry_after: str
    body: bytes


class AgentConnection:
    """Asks the agent; not for use by two threads."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._ca = b""
        self._open: _Https | None = None

    def ask(self, token: Token, method: str, path: str, body: bytes | None, timeout_seconds: float) -> Reply:
        """Exchange one request and answer.

        Raises:
            LinkError: the agent cannot be reached in time, or nothing vouches for it.
        """
        deadline = time.monotonic() + timeout_seconds
        reused = self._take_ca()
        try:
            return self._exchange(token, method, path, body, deadline)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            if not reused:
                raise LinkError("Unreachable") from None
        # A connection that was kept may have been closed by the other side meanwhile: every request may be repeated.
        try:
            return self._exchange(token, method, path, body, deadline)
        except (ConnectionError, http.client.BadStatusLine):
            self.close()
            raise LinkError("Unreachable") from None

    def close(self) -> None:
        """Give up the connection; the next question opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _take_ca(self) -> bool:
        """Trust what the file holds now. Returns whether a connection from before is still good."""
        ca = read_ca(self._settings.ca_file)
        if ca != self._ca:
            self.close()
            self._ca = ca
        return self._open is not None

    def _exchange(self, token: Token, method: str, path: str, body: bytes | None, deadline: float) -> Reply:
        if self._open is None:
            self._open = _Https(self._settings.host, self._settings.port, trust(self._ca))
        connection = self._open
        connection.deadline = deadline
        try:
            headers = {"Authorization": f"Bearer {token.text}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read(MAX_BODY_BYTES + 1)
            if response.length and len(content) <= MAX_BODY_BYTES:  # http.client does not say so by itself
                raise http.client.IncompleteRead(content, response.length)
        except ssl.SSLCertVerificationError:
            self.close()
            raise untrusted("CertificateNotTrusted") from None
        except (ConnectionError, http.client.BadStatusLine):
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise LinkError("TimedOut" if isinstance(error, TimeoutError) else "Unreachable") from None
        if not response.isclosed():  # the answer is longer than any of ours: the rest is not read
            self.close()
        return Reply(
            response.status, response.getheader(REASON_HEADER, ""), response.getheader("Retry-After", ""), content
        )


class _Https(http.client.HTTPConnection):
    """A TLS connection whose every wait ends at `deadline` (monotonic seconds)."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(host, port)
        self._context = context
        self.deadline = 0.0

    def connect(self) -> None:
        """Connect and check the certificate, within five seconds and the deadline."""
        seconds = min(_CONNECT_SECONDS, _left(self.deadline))
        plain = socket.create_connection((self.host, self.port), seconds)
        try:
            tls = self._context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        self.sock = _TimedSocket(tls, self)


class _TimedSocket:
    """The three calls that http.client makes on a socket, each bounded by the connection's deadline."""

    def __init__(self, tls: ssl.SSLSocket, connection: _Https) -> None:
        self._tls = tls
        self._connection = connection

    def sendall(self, data: ReadableBuffer) -> None:
        self._tls.settimeout(_left(self._connection.deadline))
        self._tls.sendall(data)

    def receive_into(self, buffer: WriteableBuffer) -> int:
        self._tls.settimeout(_left(self._connection.deadline))
        return self._tls.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedBytes(self))

    def close(self) -> None:
        self._tls.close()


class _TimedBytes(io.RawIOBase):
    """What a socket receives, as a file."""

    def __init__(self, source: _TimedSocket) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._source.receive_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
