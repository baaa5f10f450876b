"""One keep-alive connection with at most one request on it, without an event loop's cost."""

from __future__ import annotations

import socket

_CONNECT_SECONDS = 5.0
_RECEIVE_BYTES = 1 << 16


class Lost(Exception):  # noqa: N818  it is news about a connection, not a mistake
    """The connection ended or said something that is not HTTP."""


def connect(port: int) -> socket.socket:
    """Return a non-blocking socket to a server on this machine that sends at once. Raises OSError."""
    made = socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setblocking(False)
    return made


class Wire:
    """A connection that is told when a request is due, and asked for the answer."""

    def __init__(self, port: int) -> None:
        self.socket = connect(port)
        self.number = -1
        self.scheduled = 0.0
        self.busy = False
        self._received = b""

    def send(self, request: bytes, number: int, scheduled: float) -> None:
        """Send a request; raises Lost when it does not go out as a whole."""
        self.number, self.scheduled, self.busy, self._received = number, scheduled, True, b""
        try:
            if self.socket.send(request) != len(request):
                raise Lost
        except OSError as error:
            raise Lost from error

    def receive(self) -> tuple[int, bytes] | None:
        """Return status and body once the answer is whole; raises Lost."""
        try:
            data = self.socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise Lost from error
        if not data or not self.busy:
            raise Lost
        self._received += data
        answer = parse(self._received)
        if answer is not None:
            self.busy = False
        return answer

    def close(self) -> None:
        """End the connection, whatever is on it."""
        self.socket.close()


def parse(received: bytes) -> tuple[int, bytes] | None:
    """Return status and body of a whole response, None of a part of one; raises Lost when it is none."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = received[:end].lower()
    place = head.find(b"\r\ncontent-length:")
    try:
        status = int(head[9:12])
        if place >= 0:
            stop = head.find(b"\r\n", place + 2)
            length = int(head[place + 17 : stop if stop > 0 else None])
            return (status, received[end + 4 : end + 4 + length]) if len(received) >= end + 4 + length else None
    except ValueError as error:
        raise Lost from error
    if b"transfer-encoding: chunked" not in head:
        raise Lost
    return (status, _joined(received[end + 4 :])) if received.endswith(b"\r\n0\r\n\r\n") else None


def _joined(chunked: bytes) -> bytes:
    parts = []
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        chunked = rest[int(size, 16) + 2 :]
        if not int(size, 16):
            break
    return b"".join(parts)
