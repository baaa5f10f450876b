"""Bounds what a connection may cost before anybody knows who is at its other end."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 256
MAX_HEAD_BYTES = 16 * 1024
HEAD_SECONDS = 10.0
"""In which a request's head must be complete, from the connection's start or from the head's first byte."""
TLS_BUFFER_BYTES = 16 * 1024
"""One TLS record; see `bound_buffers`."""


def bound_buffers() -> None:
    """Have TLS connections of this process keep 16 KiB for what they read.

    asyncio keeps 256 KiB for each and lets nobody choose: 256 idle connections would cost 64 MB, half of what the agent
    may use.
    """
    SSLProtocol.max_size = TLS_BUFFER_BYTES


class WireProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with a bound on connections, and on the time that a request's head may take."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or drop it at once when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take data; uvicorn itself stops its clock for idle connections at the first byte."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
