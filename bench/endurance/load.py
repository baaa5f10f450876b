"""`python -m bench.endurance.load`: sends requests from a process of its own; a line of JSON a second, the last is all.

Faults are dealt by a seeded die: bodies that are broken, clients that send slowly, and clients that leave.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence

from bench.endurance.tally import Tally

ANSWER_SECONDS = 90.0
BROKEN = (
    b"",
    b"{",
    b"[]",
    b'{"inputs":[]}',
    b'{"inputs":[{"name":"text","shape":[2],"datatype":"BYTES","data":["one"]}]}',
    b'{"inputs":[{"name":"text","shape":[1],"datatype":"FP32","data":[1.5]}]}',
    b'{"inputs":[{"name":"text","shape":[1],"datatype":"BYTES","data":[null]}]}',
    b"\xff\xfe" * 50,
)
WORDS = ("memory", "river", "seven", "garden", "light", "stone", "paper", "winter", "letter", "ocean")


class Connection:
    """One keep-alive connection that is opened again when it has closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, data: bytes) -> None:
        """Send bytes, on a new connection where there is none. Raises OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        self._streams[1].write(data)
        await self._streams[1].drain()

    async def response(self) -> tuple[int, str | None]:
        """Return status and reason. Raises OSError or IncompleteReadError when the connection breaks."""
        assert self._streams is not None
        reader = self._streams[0]
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        await reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.leave()
        return int(head[0].split()[1]), headers.get("trimtab-reason")

    def leave(self) -> None:
        """Close at once."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Load:
    """Several clients until so many requests have ended, or so many seconds have passed."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._dice = random.Random(options.seed)
        self._end = time.monotonic() + options.seconds
        self._begun = 0
        self.tally = Tally()

    async def run(self) -> None:
        """Send it all; prints how far it is each second."""
        clients = [asyncio.create_task(self._client()) for _ in range(self._options.clients)]
        done = asyncio.gather(*clients)
        while not done.done():
            print(json.dumps({"ended": self.tally.ended}), flush=True)
            await asyncio.wait([done], timeout=1.0)
        done.result()
        print(json.dumps({"ended": self.tally.ended, "tally": self.tally.figures()}), flush=True)

    async def _client(self) -> None:
        connection = Connection(self._options.port)
        while self._begun < self._options.requests and time.monotonic() < self._end:
            self._begun += 1
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._one(connection, self._begun)
            except (TimeoutError, OSError, asyncio.IncompleteReadError):
                self.tally.unanswered += 1
                connection.leave()
        connection.leave()

    async def _one(self, connection: Connection, number: int) -> None:
        draw = self._dice.random()
        if draw < self._options.broken:
            await connection.send(self._request(self._dice.choice(BROKEN)))
        elif draw < self._options.broken + self._options.slow:
            data = self._request(self._body(number))
            middle = len(data) // 2
            await connection.send(data[:middle])
            await asyncio.sleep(self._dice.uniform(0.05, 0.5))
            await connection.send(data[middle:])
        elif draw < self._options.broken + self._options.slow + self._options.leaving:
            await connection.send(self._request(self._body(number)))
            connection.leave()
            self.tally.gone += 1
            return
        else:
            await connection.send(self._request(self._body(number)))
        self.tally.count(*await connection.response())

    def _request(self, body: bytes) -> bytes:
        head = (
            f"POST /v2/models/{self._options.model}/infer HTTP/1.1\r\nHost: engine\r\nContent-Length: {len(body)}\r\n"
        )
        return head.encode() + b"\r\n" + body

    def _body(self, number: int) -> bytes:
        """Inputs that grow from one word to the longest over the run, or of random length where they do not grow."""
        options = self._options
        share = (
            min(1.0, 1.0 - (self._end - time.monotonic()) / options.seconds) if options.growing else self._dice.random()
        )
        rows = 1 + int(share * (options.rows - 1) * self._dice.random())
        words = 1 + int(share * (options.words - 1))
        texts = [f"{number} {row} " + " ".join(self._dice.choices(WORDS, k=words)) for row in range(rows)]
        tensor = {"name": "text", "shape": [rows], "datatype": "BYTES", "data": texts}
        return json.dumps({"inputs": [tensor]}).encode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Send the load that the options describe."""
    parser = argparse.ArgumentParser(prog="python -m bench.endurance.load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=sys.maxsize)
    parser.add_argument("--seconds", type=float, default=86_400.0)
    parser.add_argument("--rows", type=int, default=1, help="most inputs per request")
    parser.add_argument("--words", type=int, default=8, help="most words per input")
    parser.add_argument("--growing", action="store_true", help="grow from one word to the longest over the seconds")
    parser.add_argument("--broken", type=float, default=0.0, help="share of requests with a broken body")
    parser.add_argument("--slow", type=float, default=0.0, help="share of clients that pause within a request")
    parser.add_argument("--leaving", type=float, default=0.0, help="share of clients that do not wait for the answer")
    parser.add_argument("--seed", type=int, default=1)
    asyncio.run(Load(parser.parse_args(arguments)).run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
