"""Serve /metrics, /healthz (does the loop turn?) and /readyz (could this process do its work as leader?)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from trimtab_operator.telemetry import Telemetry

Check = Callable[[], str | None]
"""None when all is well, else what is wrong."""

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STUCK_SECONDS: Final = 150.0  # ten intervals of the default 15 s
LIST_AGE_LIMIT_SECONDS: Final = 1200.0  # four lists


def loop_problem(overdue_seconds: float, list_age_seconds: float | None) -> str | None:
    """Say how the leader's loop is stuck, if it is."""
    if overdue_seconds > STUCK_SECONDS:
        return f"a policy is overdue by {overdue_seconds:.0f} s"
    if list_age_seconds is not None and list_age_seconds > LIST_AGE_LIMIT_SECONDS:
        return f"the policies were last listed {list_age_seconds:.0f} s ago"
    return None


class HealthServer:
    """Serves on `port`; 0 takes a free one."""

    def __init__(self, telemetry: Telemetry, alive: Check, ready: Check, port: int) -> None:
        self._port = port
        application = web.Application()
        application.router.add_get("/healthz", _answer(alive))
        application.router.add_get("/readyz", _answer(ready))
        application.router.add_get("/metrics", _metrics(telemetry))
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self) -> None:
        """Serve. Raises OSError when the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, None, self._port).start()

    @property
    def port(self) -> int:
        """The port that is served on IPv4 (0 as the wanted port gives each protocol its own)."""
        return next(int(address[1]) for address in self._runner.addresses if len(address) == 2)

    async def stop(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answer(check: Check) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        problem = check()
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    return handle


def _metrics(telemetry: Telemetry) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE})

    return handle
