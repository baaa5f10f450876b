"""HTTP requests and responses as values, and how a response becomes bytes."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

import msgspec

JSON = b"application/json"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Request(msgspec.Struct):
    """One complete request. Header names are lower case; times are monotonic seconds of the first and last byte."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    began_at: float
    received_at: float

    def header(self, name: bytes) -> str | None:
        """Return the value of a header as text, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()


class Response(msgspec.Struct, frozen=True):
    """What is answered; Content-Length, Date and Connection are added when it is written."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, date: bytes, close: bool) -> bytes:
        """Return the whole response as bytes. `date` is the Date header's value."""
        head = b"%sContent-Type: %s\r\nContent-Length: %d\r\nDate: %s\r\n%s%s\r\n" % (
            _STATUS_LINES[self.status],
            self.content_type,
            len(self.body),
            date,
            _lines(self.headers),
            b"Connection: close\r\n" if close else b"",
        )
        return head + self.body


@lru_cache(maxsize=1024)
def _lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
