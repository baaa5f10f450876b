"""HTTP requests and responses as values, and how a response becomes bytes."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

JSON = b"application/json"

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


@dataclass(slots=True)
class Request:
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


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; Content-Length, Date and Connection are added when it is written."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, date: bytes, close: bool) -> bytes:
        """Return the whole response as bytes. `date` is the Date header's value."""
        parts = [
            _STATUS_LINES[self.status],
            b"Content-Type: ",
            self.content_type,
            b"\r\nContent-Length: ",
            str(len(self.body)).encode(),
            b"\r\nDate: ",
            date,
            b"\r\n",
        ]
        parts.extend(f"{name}: {value}\r\n".encode("latin-1") for name, value in self.headers)
        parts.append(b"Connection: close\r\n\r\n" if close else b"\r\n")
        parts.append(self.body)
        return b"".join(parts)
