"""The listening side: connections within a bound, their time-outs, and draining."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate

from trimtab_engine.errors import EngineError, TooManyConnections
from trimtab_engine.http_exchange import Exchange
from trimtab_engine.http_heads import KnownHeads
from trimtab_engine.http_message import Request, Response
from trimtab_engine.http_protocol import Connection

_SWEEP_SECONDS = 1.0
_BACKLOG = 1024

Application = Callable[[Request, Exchange], None]


class HttpServer:
    """Owns the sockets; what is served is the `application`, how errors look is `refusal`."""

    def __init__(
        self,
        application: Application,
        refusal: Callable[[str, EngineError], Response],
        max_body_bytes: int,
        max_connections: int,
        read_timeout_seconds: float,
    ) -> None:
        self.application = application
        self.refusal = refusal
        self.max_body_bytes = max_body_bytes
        self.read_timeout_seconds = read_timeout_seconds
        self.draining = False
        self.date = b""
        self.heads = KnownHeads()
        self.outstanding = 0  # requests read and not yet answered, whose clients have not left; connections count them
        self._max_connections = max_connections
        self._connections: set[Connection] = set()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int) -> int:
        """Accept connections; returns the port, which port 0 lets the system choose.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), host, port, backlog=_BACKLOG)
        self._sweep()
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def stop_listening(self) -> None:
        """Take no new connection and close those on which nothing is asked."""
        if self._listener is not None:
            self._listener.close()
        for connection in tuple(self._connections):
            connection.close_if_idle()

    def close(self) -> None:
        """Stop the time-outs; the process ends now."""
        self.stop_listening()
        if self._sweeper is not None:
            self._sweeper.cancel()

    @property
    def open_connections(self) -> int:
        """Connections not yet closed."""
        return len(self._connections)

    def opened(self, connection: Connection) -> EngineError | None:
        """Register a connection; an error when there are too many."""
        self._connections.add(connection)
        if len(self._connections) > self._max_connections:
            return TooManyConnections(f"all {self._max_connections} connections are taken")
        return None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def _sweep(self) -> None:
        now = time.monotonic()
        self.date = formatdate(usegmt=True).encode()
        for connection in tuple(self._connections):
            connection.sweep(now)
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)
