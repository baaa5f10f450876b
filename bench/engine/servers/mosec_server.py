"""mosec: the Rust front batches, one Python worker computes; bodies are decoded where the batch is."""

from __future__ import annotations

import sys
from typing import Any

from mosec import Server, Worker

from bench.engine.servers.workload import PATH, decode, encode, load, options

OPTIONS = options()


class Model(Worker):
    """One stage: a stage more is a process and two copies more for each request."""

    def __init__(self) -> None:
        self._run = load(OPTIONS)

    def deserialize(self, data: bytes) -> tuple[str, Any]:
        """Read a body."""
        return decode(data)

    def serialize(self, data: bytes) -> bytes:
        """Hand on a body that is made already."""
        return data

    def forward(self, data: list[tuple[str, Any]]) -> list[bytes]:
        """Answer a batch."""
        answers = self._run([row for _, row in data])
        return [encode(question_id, answer) for (question_id, _), answer in zip(data, answers, strict=True)]


if __name__ == "__main__":
    sys.argv = [
        sys.argv[0],
        *("--port", str(OPTIONS.port), "--address", "127.0.0.1", "--log-level", "warning"),
        *("--timeout", str(round(OPTIONS.timeout_seconds * 1000)), "--capacity", "4096"),
    ]
    server = Server()
    server.append_worker(
        Model,
        num=OPTIONS.processes,
        max_batch_size=OPTIONS.batch,
        max_wait_time=round(OPTIONS.wait_seconds * 1000),
        route=PATH,
    )
    server.run()
