"""One request's place in the order of its connection, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from trimtab_engine.http_message import Response

if TYPE_CHECKING:
    from trimtab_engine.http_protocol import Connection


class Exchange:
    """One request and the place of its answer in the order of the connection."""

    __slots__ = ("_connection", "close", "data", "keep_alive", "on_gone")

    def __init__(self, connection: Connection, keep_alive: bool) -> None:
        self._connection = connection
        self.keep_alive = keep_alive
        self.close = False
        self.data: bytes | None = None
        self.on_gone: Callable[[], None] | None = None  # called when the client leaves before the answer

    def reply(self, response: Response) -> None:
        """Answer; written as soon as the answers before it are."""
        if self.data is None:
            self.on_gone = None  # it holds the job, which holds this exchange: a ring for the collector
            self._connection.answer(self, response)
