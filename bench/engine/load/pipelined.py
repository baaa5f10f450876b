"""Requests on pipelined connections, each with an id of its own, and a log of what came back: times, version, body.

The log is judged later (`load/verdict.py`): while requests are due nothing else is done.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.engine.corpus import request_bytes
from bench.engine.load.wire import Lost, connect

CONNECTIONS = 4
LAST_ANSWERS_SECONDS = 20.0
_RECEIVE_BYTES = 1 << 18
_SPIN_SECONDS = 0.002
_LONGEST_WAIT_SECONDS = 0.05
_ID = b"r00000000"


class Requests:
    """Whole requests for the rows of a corpus, their ids filled in when they are sent."""

    def __init__(self, rows: Sequence[Any], port: int) -> None:
        self._parts = []
        for row in rows:
            whole = request_bytes(row, 0, dialect="v2", port=port, request_id=_ID.decode())
            head, _, tail = whole.rpartition(_ID)
            self._parts.append((head, tail))

    def __len__(self) -> int:
        return len(self._parts)

    def bytes_of(self, row: int, sequence: int) -> bytes:
        """Return the request for a row as the sequence-th of its slice."""
        head, tail = self._parts[row]
        return b"%br%08d%b" % (head, sequence, tail)


@dataclass
class Sent:
    """One request and what came of it; times in monotonic seconds, `received` None = no answer."""

    row: int
    sequence: int
    scheduled: float
    received: float | None = None
    status: int = 0
    version: str = ""
    body: bytes = b""


@dataclass
class _Pipe:
    socket: socket.socket
    waiting: deque[Sent] = field(default_factory=deque)
    received: bytes = b""
    unsent: bytes = b""


class PipelinedSlice:
    """Sends by a schedule (`open`) or keeps connections full (`closed`); `log` has every request in order."""

    def __init__(self, requests: Requests, port: int, connections: int = CONNECTIONS) -> None:
        """Connect; raises OSError."""
        self._requests = requests
        self._poll = select.epoll()
        self._pipes: dict[int, _Pipe] = {}
        self.log: list[Sent] = []
        self.lags: list[float] = []
        for _ in range(connections):
            made = connect(port)
            self._pipes[made.fileno()] = _Pipe(made)
            self._poll.register(made, select.EPOLLIN)
        self._order = list(self._pipes.values())

    def open(self, arrivals: Sequence[float]) -> list[Sent]:
        """Send at these seconds from now on, on one connection after the other, and wait for the last answers."""
        began = time.monotonic()
        for position, arrival in enumerate(arrivals):
            self._take_until(began + arrival)
            self._send(self._order[position % len(self._order)], began + arrival)
            self.lags.append(time.monotonic() - began - arrival)
        return self._finish()

    def closed(self, depth: int, seconds: float, most_requests: int) -> list[Sent]:
        """Keep `depth` requests on each connection until the seconds have passed or so many are sent."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and len(self.log) < most_requests:
            for pipe in list(self._pipes.values()):
                while len(pipe.waiting) < depth and len(self.log) < most_requests and self._is_open(pipe):
                    self._send(pipe, now)
            if not self._pipes:
                break
            self._take(_LONGEST_WAIT_SECONDS)
        return self._finish()

    def _is_open(self, pipe: _Pipe) -> bool:
        return pipe.socket.fileno() in self._pipes

    def _finish(self) -> list[Sent]:
        end = time.monotonic() + LAST_ANSWERS_SECONDS
        while any(pipe.waiting for pipe in self._pipes.values()) and time.monotonic() < end:
            self._take(_LONGEST_WAIT_SECONDS)
        for pipe in self._order:
            pipe.socket.close()
        self._poll.close()
        return self.log

    def _take_until(self, due: float) -> None:
        while (now := time.monotonic()) < due:
            self._take(max(0.0, min(_LONGEST_WAIT_SECONDS, due - now - _SPIN_SECONDS)))

    def _send(self, pipe: _Pipe, scheduled: float) -> None:
        sequence = len(self.log)
        sent = Sent(sequence * 97 % len(self._requests), sequence, scheduled)
        self.log.append(sent)
        if not self._is_open(pipe):
            return
        pipe.waiting.append(sent)
        pipe.unsent += self._requests.bytes_of(sent.row, sequence)
        try:
            self._flush(pipe)
        except OSError:
            self._drop(pipe)

    def _flush(self, pipe: _Pipe) -> None:
        with suppress(BlockingIOError):
            pipe.unsent = pipe.unsent[pipe.socket.send(pipe.unsent) :]

    def _take(self, seconds: float) -> None:
        for descriptor, _ in self._poll.poll(seconds):
            pipe = self._pipes[descriptor]
            try:
                if pipe.unsent:
                    self._flush(pipe)
                self._receive(pipe)
            except (Lost, OSError):
                self._drop(pipe)

    def _receive(self, pipe: _Pipe) -> None:
        data = pipe.socket.recv(_RECEIVE_BYTES)
        now = time.monotonic()
        if not data:
            raise Lost
        pipe.received += data
        while (answer := split_answer(pipe.received)) is not None:
            if not pipe.waiting:
                raise Lost
            sent = pipe.waiting.popleft()
            sent.status, sent.version, sent.body, pipe.received = answer
            sent.received = now

    def _drop(self, pipe: _Pipe) -> None:
        """What waits on it is never answered."""
        del self._pipes[pipe.socket.fileno()]
        self._poll.unregister(pipe.socket)
        pipe.socket.close()


def split_answer(received: bytes) -> tuple[int, str, bytes, bytes] | None:
    """Return status, version, body and what comes after the first whole answer; None of a part of one. Raises Lost."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    try:
        status_line, *lines = received[:end].decode("latin-1").lower().split("\r\n")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status, stop = int(status_line.split()[1]), end + 4 + int(headers["content-length"])
    except (IndexError, KeyError, ValueError) as error:
        raise Lost from error
    if len(received) < stop:
        return None
    return status, headers.get("trimtab-version", ""), received[end + 4 : stop], received[stop:]
