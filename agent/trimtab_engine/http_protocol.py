"""One HTTP/1.1 connection: parsing, limits, pipelining, time-outs. Knows nothing of what is served."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, cast

import httptools

from trimtab_engine.errors import BadRequest, EngineError, HeadersTooLarge, RequestTimeout, TooLarge
from trimtab_engine.http_exchange import Exchange
from trimtab_engine.http_heads import RequestHead
from trimtab_engine.http_message import Request, Response

if TYPE_CHECKING:
    from trimtab_engine.http_server import HttpServer

_MAX_HEADER_BYTES = 16384
_MAX_HEADERS = 100
_MAX_PIPELINED = 32
_IDLE_SECONDS = 75.0  # longer than the 60 s for which common load balancers keep idle connections
_STALLED_WRITE_SECONDS = 30.0
_LINGER_SECONDS = 2.0
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """Parses what arrives, hands complete requests to the server's application, writes answers in order."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[Exchange] = deque()
        self._current: Exchange | None = None  # the request being read, once its headers are complete
        self._reading = False  # between the first byte of a request and its last
        self._fresh = True  # no request has begun yet
        self._deaf = False  # an error or `close` ended this connection's input
        self._stalled = False
        self._paused = False
        self._target = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._header_lines = 0
        self._header_bytes = 0
        self._body: bytes | bytearray = b""
        self._begun_with = b""  # what arrived with the first byte of the request being read, where that came first
        self._unparsed_bytes = 0  # body bytes of a request that offered an upgrade: the parser skips them
        self._began_at = 0.0
        self.deadline: float | None = time.monotonic() + server.read_timeout_seconds

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the server, or refuse when it is full."""
        self._transport = cast(asyncio.Transport, transport)
        refusal = self._server.opened(self)
        if refusal is not None:
            self._refuse(refusal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever still works for this client that it is gone."""
        self._server.closed(self)
        self._deaf = True
        exchanges, self._exchanges = self._exchanges, deque()
        for exchange in exchanges:
            if exchange.data is None:
                exchange.data = b""
                if exchange is not self._current:
                    self._server.outstanding -= 1
                if exchange.on_gone is not None:
                    exchange.on_gone()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what cannot be parsed is answered 400 and ends the connection."""
        self._begun_with = b""
        if not self._reading and not self._deaf:
            known = self._server.heads.find(data)
            if known is not None:
                self._take_whole(*known)
                return
            self._begun_with = data
        while data and not self._deaf:
            if self._unparsed_bytes:
                data = self._read_unparsed(data)
                continue
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                # An offer to upgrade is ignored; the parser stops after the headers and goes on with the next request.
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                if not self._deaf:
                    self._refuse(BadRequest(f"malformed HTTP: {error}"))
                return

    def pause_writing(self) -> None:
        """Stop reading from a client that reads too slowly."""
        self._stalled = True
        self._pace()

    def resume_writing(self) -> None:
        """Read again."""
        self._stalled = False
        self._pace()

    # --- httptools callbacks

    def on_message_begin(self) -> None:
        """First byte of a request."""
        if self._deaf:
            return
        self._began_at = time.monotonic()
        self._reading, self._fresh = True, False
        self._target, self._headers, self._header_lines, self._header_bytes = bytearray(), {}, 0, 0
        self._body = b""
        self.deadline = self._began_at + self._server.read_timeout_seconds

    def on_url(self, url: bytes) -> None:
        """Collect a piece of the request target."""
        self._target += url
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.lower()] = value
        self._header_lines += 1
        self._count_header_bytes(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        """Refuse what is too large before its body is sent; answer Expect: 100-continue."""
        if self._deaf:
            return
        keep_alive = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"
        self._current = Exchange(self, keep_alive)
        length = self._headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > self._server.max_body_bytes:
            self._refuse_body()
            return
        if self._parser.should_upgrade() and length.isdigit():
            self._unparsed_bytes = int(length)
        if self._headers.get(b"expect", b"").lower() == b"100-continue":
            go_on = Exchange(self, keep_alive=True)
            go_on.data = _CONTINUE
            self._exchanges.append(go_on)
            self._flush()
        self._exchanges.append(self._current)

    def on_body(self, body: bytes) -> None:
        """Collect a piece of the body."""
        if self._deaf:
            return
        if not self._body:
            self._body = body  # mostly the whole of it
        elif isinstance(self._body, bytearray):
            self._body += body
        else:
            self._body = bytearray(self._body) + body
        if len(self._body) > self._server.max_body_bytes:
            self._refuse_body()

    def on_message_complete(self) -> None:
        """Hand the request over."""
        exchange = self._current
        if self._deaf or exchange is None or self._unparsed_bytes:
            return
        self._current, self._reading = None, False
        if not exchange.keep_alive:
            self._deaf = True
        method = self._parser.get_method().decode("latin-1")
        path = self._target.partition(b"?")[0].decode("latin-1")
        body, headers = bytes(self._body), self._headers
        self._body = b""
        if self._begun_with and exchange.keep_alive:
            head = RequestHead(method, path, headers, len(body))
            self._server.heads.note(self._begun_with, head, self._header_lines)
        self._begun_with = b""
        self._hand_over(exchange, Request(method, path, headers, body, self._began_at, time.monotonic()))

    def _take_whole(self, head: RequestHead, body: bytes) -> None:
        """Hand over a request that came in one piece and needs no parsing."""
        self._fresh = False
        exchange = Exchange(self, keep_alive=True)
        self._exchanges.append(exchange)
        now = time.monotonic()
        self._hand_over(exchange, Request(head.method, head.path, head.headers, body, now, now))

    def _hand_over(self, exchange: Exchange, request: Request) -> None:
        self.deadline = None
        self._server.outstanding += 1
        self._server.application(request, exchange)
        if self._stalled or len(self._exchanges) > _MAX_PIPELINED:
            self._pace()

    def _read_unparsed(self, data: bytes) -> bytes:
        """Collect the body of a request that offered an upgrade; return what follows it."""
        body, rest = data[: self._unparsed_bytes], data[self._unparsed_bytes :]
        self._unparsed_bytes -= len(body)
        self.on_body(body)
        if not self._unparsed_bytes:
            self.on_message_complete()
        return rest

    # --- answers

    def answer(self, exchange: Exchange, response: Response) -> None:
        """Give an exchange its answer and write what is due."""
        server, exchanges = self._server, self._exchanges
        last = len(exchanges) == 1 and not self._reading
        exchange.close = not exchange.keep_alive or (server.draining and last)
        exchange.data = response.encode(server.date, exchange.close)
        server.outstanding -= 1
        self._flush()
        if self._paused:
            self._pace()

    def sweep(self, now: float) -> None:
        """Enforce the time-outs; called about once a second."""
        if self._transport is None or self.deadline is None or now < self.deadline:
            return
        if self._paused and not self._stalled:  # we do not read: the client is not to blame
            return
        if self._reading and not self._deaf:
            self._refuse(RequestTimeout(f"the request was not complete after {self._server.read_timeout_seconds:g} s"))
        else:
            self._transport.abort()

    def close_if_idle(self) -> None:
        """Close a keep-alive connection on which nothing is asked; on a fresh one the first request is on its way."""
        if self._transport is not None and not self._exchanges and not self._reading and not self._fresh:
            self._transport.close()

    def _flush(self) -> None:
        exchanges, due, close = self._exchanges, [], False
        while exchanges and (data := exchanges[0].data) is not None and not close:
            due.append(data)
            close = exchanges.popleft().close
        if due and self._transport is not None:
            self._transport.write(due[0] if len(due) == 1 else b"".join(due))
        if close:
            self._linger()
        else:
            self._set_deadline()

    def _pace(self) -> None:
        """Read on only while the client takes its answers and does not run too far ahead."""
        pause = self._stalled or len(self._exchanges) > _MAX_PIPELINED
        if self._transport is None or self._transport.is_closing() or pause == self._paused:
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
        self._set_deadline()

    def _set_deadline(self) -> None:
        """How long the connection may stay as it is; reading and lingering set their own."""
        now = time.monotonic()
        if self._stalled:
            self.deadline = now + _STALLED_WRITE_SECONDS
        elif self._reading:
            self.deadline = self._began_at + self._server.read_timeout_seconds
        elif not self._deaf:
            self.deadline = None if self._exchanges else now + _IDLE_SECONDS

    def _count_header_bytes(self, count: int) -> None:
        self._header_bytes += count
        if not self._deaf and (self._header_bytes > _MAX_HEADER_BYTES or len(self._headers) > _MAX_HEADERS):
            self._refuse(HeadersTooLarge(f"accepted are {_MAX_HEADERS} headers and {_MAX_HEADER_BYTES} bytes of them"))

    def _refuse_body(self) -> None:
        self._refuse(TooLarge(f"the body is larger than the accepted {self._server.max_body_bytes} bytes"))

    def _refuse(self, error: EngineError) -> None:
        """Answer with an error after the answers that are due before it, and hear no more."""
        exchange = self._current
        if exchange is None or exchange not in self._exchanges:
            exchange = exchange or Exchange(self, keep_alive=False)
            self._exchanges.append(exchange)
        exchange.keep_alive = False
        self._current, self._reading, self._deaf, self._body = None, False, True, b""
        self.deadline = None
        self._server.outstanding += 1
        exchange.reply(self._server.refusal(self._target.decode("latin-1"), error))

    def _linger(self) -> None:
        """Close our side and let the client finish its own, so that no reset overtakes the answer."""
        self._deaf = True
        self._exchanges.clear()
        self.deadline = time.monotonic() + _LINGER_SECONDS
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
