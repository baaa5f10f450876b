"""The agent's HTTP routes: /metrics, /healthz and /readyz."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from trimtab_agent.collector import HEALTHY_INTERVALS, Collector


def routes(collector: Collector, registry: CollectorRegistry) -> Starlette:
    """Build the application that answers from the collector's latest snapshot; no request makes anything be read."""

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def healthz(_: Request) -> Response:
        if collector.is_healthy():
            return PlainTextResponse("ok\n")
        return PlainTextResponse(f"no collection finished for {HEALTHY_INTERVALS} intervals\n", status_code=503)

    async def readyz(_: Request) -> Response:
        if collector.is_ready():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the first collection is not complete\n", status_code=503)

    return Starlette(
        routes=[Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)],
    )


def listen(port: int) -> socket.socket:
    """Open a socket on all addresses, IPv6 and IPv4 where the node has both. Raises OSError when the port is taken."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


class Server(uvicorn.Server):
    """uvicorn that ends with exit code 0 on SIGTERM: its own handler raises the signal again after the shutdown."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask the server to stop when the process is told to."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True


def build_server(app: Starlette) -> Server:
    """Build the HTTP server; it reads little, so few connections and short idle times are enough."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="asyncio",
        http="h11",
        ws="none",
        server_header=False,
        limit_concurrency=64,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )
    return Server(config)
