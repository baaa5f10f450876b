"""A small HTTP server that answers as the engine does, in a thread of its own, and fails in the ways it is told to."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import Iterator

import pytest


class EmbeddingServer:
    """Answers each sentence with a vector of its own; `status`, `delay_seconds` and the two flags change how."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.delay_seconds = 0.0
        self.mix_up = False
        self.close_before_answer_on_reuse = False
        self.requests = 0
        self.connections = 0
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answered = 0
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                if self.close_before_answer_on_reuse and answered:
                    return
                self.requests += 1
                await asyncio.sleep(self.delay_seconds)
                writer.write(self._answer(head, body))
                await writer.drain()
                answered += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, head: str, body: dict[str, object]) -> bytes:
        if "/v1/embeddings" in head:
            document: object = {"data": [{"embedding": self._vector(str(body["input"]))}]}
        else:
            document = {"outputs": [{"data": self._vector(body["inputs"][0]["data"][0])}]}  # type: ignore[index]
        payload = json.dumps(document).encode()
        return f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload

    def _vector(self, sentence: str) -> list[float]:
        text = f"{sentence}{self.requests}" if self.mix_up else sentence
        return [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()]


@pytest.fixture
def late_server() -> Iterator[EmbeddingServer]:
    """A server that the test starts, on a port at which nobody listens until then."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        stub = EmbeddingServer(unused.getsockname()[1])
    yield stub
    stub.stop()


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    stub = EmbeddingServer()
    stub.start()
    yield stub
    stub.stop()
