"""BentoML with its adaptive batching, CORK; `bentoml serve` runs this file.

A batchable endpoint takes and gives a list, so an answer is `[tensor]` without the id: what an answer belongs to is
known by its numbers.
"""

from __future__ import annotations

from typing import Any

import bentoml
import msgspec

from bench.engine.servers.workload import PATH, load, options, tensor_of

OPTIONS = options()


@bentoml.service(
    workers=OPTIONS.processes,
    threads=1,
    traffic={"timeout": 60, "max_concurrency": 100_000},
    metrics={"enabled": False},
    tracing={"sample_rate": 0.0},
    logging={"access": {"enabled": False}},
)
class Model:
    """One worker process, which is also the HTTP server."""

    def __init__(self) -> None:
        self._run = load(OPTIONS)

    @bentoml.api(
        route=PATH,
        batchable=True,
        max_batch_size=OPTIONS.batch,
        max_latency_ms=round(OPTIONS.timeout_seconds * 1000),
    )
    def infer(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Answer a batch."""
        rows = [each["data"][0] if each["datatype"] == "BYTES" else each["data"] for each in inputs]
        return [msgspec.to_builtins(tensor_of(answer)) for answer in self._run(rows)]
