"""A closed loop over pipelined connections that knows the right answer to every request and the order of them."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-4  # batches of different shapes round differently; another sentence is further away, see `separation`
DEPTH = 8  # requests on one connection that are not answered yet
CONNECTIONS = 8

Vectors = Mapping[str, NDArray[np.float32]]


@dataclass
class Tally:
    """What became of the requests.

    `reordered`: the answer to another request that is outstanding on the connection; `mixed`: the answer to none.
    """

    answered: int = 0
    dropped: int = 0
    reordered: int = 0
    mixed: int = 0
    outstanding: int = 0
    hits: int = 0  # inputs that the engine says it answered from the cache


class _Response(msgspec.Struct):
    class Output(msgspec.Struct):
        shape: list[int]
        data: list[float]

    outputs: list[Output]


def separation(expected: Vectors) -> float:
    """The smallest difference between the answers to two sentences."""
    rows = np.stack(list(expected.values()))
    between = np.abs(rows[:, None] - rows[None]).max(axis=2)
    np.fill_diagonal(between, np.inf)
    return float(between.min())


class PipelinedLoad:
    """Keeps every connection full until `stop` is set, then takes the answers that are due."""

    def __init__(self, port: int, path: str, expected: Vectors) -> None:
        self.tally = Tally()
        self.stop = asyncio.Event()
        self._port = port
        self._path = path
        self._expected = expected
        self._sentences = list(expected)

    async def run(self) -> None:
        """Return when every request is answered, or its connection lost."""
        await asyncio.gather(*(self._connection(random.Random(seed)) for seed in range(CONNECTIONS)))

    async def _connection(self, choice: random.Random) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        waiting: deque[list[str]] = deque()
        try:
            while not self.stop.is_set() or waiting:
                while len(waiting) < DEPTH and not self.stop.is_set():
                    waiting.append(choice.sample(self._sentences, choice.choice((1, 1, 2, 3))))
                    writer.write(self._request(waiting[-1]))
                    self.tally.outstanding += 1
                if waiting:
                    status, cached, body = await self._answer(reader)
                    self.tally.hits += cached.count("h")
                    self._judge(waiting.popleft(), waiting, status, body)
        except (OSError, asyncio.IncompleteReadError):
            self.tally.dropped += len(waiting)
            self.tally.outstanding -= len(waiting)
        finally:
            writer.close()

    def _request(self, texts: list[str]) -> bytes:
        text_input = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
        body = msgspec.json.encode({"inputs": [text_input]})
        head = f"POST {self._path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, str, bytes]:
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = await reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers.get("trimtab-cache", ""), body

    def _judge(self, texts: list[str], others: deque[list[str]], status: int, body: bytes) -> None:
        self.tally.outstanding -= 1
        if status != 200:
            self.tally.dropped += 1
            return
        self.tally.answered += 1
        output = msgspec.json.decode(body, type=_Response).outputs[0]
        rows = np.array(output.data, np.float32).reshape(output.shape)
        if self._is_answer(rows, texts):
            return
        if any(self._is_answer(rows, other) for other in others):
            self.tally.reordered += 1
        else:
            self.tally.mixed += 1

    def _is_answer(self, rows: NDArray[np.float32], texts: list[str]) -> bool:
        expected = np.stack([self._expected[text] for text in texts])
        return rows.shape == expected.shape and float(np.abs(rows - expected).max()) < TOLERANCE
