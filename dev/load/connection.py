"""One keep-alive HTTP connection with at most one request on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

import httptools


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of one response."""

    status: int
    body: bytes


class ConnectionLostError(Exception):
    """The connection ended before the answer was whole; `untouched` when not one byte of the answer had come."""

    def __init__(self, message: str, *, untouched: bool) -> None:
        super().__init__(message)
        self.untouched = untouched


class Connection(asyncio.Protocol):
    """Sends a request and collects its answer; not reusable after an error or when the server says so."""

    def __init__(self, expires_at_seconds: float) -> None:
        self.expires_at_seconds = expires_at_seconds
        self.exchanges = 0
        self.open = True
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._started = False

    async def exchange(self, request: bytes) -> Answer:
        """Send one request and wait for its answer; raises ConnectionLostError when the connection ends first."""
        if not self.open or self._transport is None:
            raise ConnectionLostError("closed before the request was sent", untouched=True)
        self._waiting = asyncio.get_running_loop().create_future()
        self._body = []
        self._started = False
        self._transport.write(request)
        try:
            return await self._waiting
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._waiting = None
            self.exchanges += 1

    def close(self) -> None:
        """End the connection; an answer under way is lost."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail(str(exc) if exc is not None else "closed by the server")

    def data_received(self, data: bytes) -> None:
        self._started = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.close()
            self._fail(f"not HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer = Answer(self._parser.get_status_code(), b"".join(self._body))
        if not self._parser.should_keep_alive():
            self.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def _fail(self, message: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionLostError(message, untouched=not self._started))
