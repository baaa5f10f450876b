"""An HTTP server that answers with what it was asked, and what a raw client of it writes and reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from trimtab_engine.http_exchange import Exchange
from trimtab_engine.http_message import Request, Response
from trimtab_engine.http_server import HttpServer
from trimtab_engine.routes.error_form import error_response

PATIENCE_SECONDS = 10


class Echo:
    """Answers with method, path and body; what is asked under /hold waits until it is let go."""

    def __init__(self) -> None:
        self.held: list[tuple[Request, Exchange]] = []
        self.gone: list[str] = []

    def __call__(self, request: Request, exchange: Exchange) -> None:
        if request.path.startswith("/hold"):
            self.held.append((request, exchange))
            exchange.on_gone = lambda: self.gone.append(request.path)
        else:
            self.answer(request, exchange)

    def answer(self, request: Request, exchange: Exchange) -> None:
        exchange.reply(Response(200, f"{request.method} {request.path} ".encode() + request.body, b"text/plain"))


@asynccontextmanager
async def an_echo_server(
    read_timeout_seconds: float = 30.0, max_connections: int = 50
) -> AsyncIterator[tuple[HttpServer, Echo, Callable[[], object]]]:
    echo = Echo()
    server = HttpServer(echo, error_response, 1000, max_connections, read_timeout_seconds)
    port = await server.listen("127.0.0.1", 0)
    try:
        yield server, echo, lambda: asyncio.open_connection("127.0.0.1", port)
    finally:
        server.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return int(head[0].split()[1]), headers, body


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  polls with a deadline
            await asyncio.sleep(0.005)


async def at_end(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await reader.read() == b""


def a_post(path: str, body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
