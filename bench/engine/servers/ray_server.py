"""Ray Serve: its HTTP proxy and a replica with `@serve.batch`."""

from __future__ import annotations

import os
import signal
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request
from starlette.responses import Response

from bench.engine.servers.workload import decode, encode, load, options

OPTIONS = options()


@serve.deployment(
    num_replicas=OPTIONS.processes, max_ongoing_requests=4096, ray_actor_options={"num_cpus": 0}, logging_config=None
)
class Model:
    """One replica."""

    def __init__(self) -> None:
        self._run = load(OPTIONS)

    @serve.batch(max_batch_size=OPTIONS.batch, batch_wait_timeout_s=OPTIONS.wait_seconds)
    async def infer(self, rows: list[Any]) -> list[list[float]]:
        """Answer a batch."""
        return self._run(rows)

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        question_id, row = decode(await request.body())
        return Response(encode(question_id, await self.infer(row)), media_type="application/json")


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=OPTIONS.port, request_timeout_s=OPTIONS.timeout_seconds),
        logging_config={"log_level": "ERROR", "enable_access_log": False},
    )
    serve.run(Model.bind(), name="bench", route_prefix="/")  # type: ignore[attr-defined]
    print(f"serving, process {os.getpid()}", flush=True)
    signal.pause()
