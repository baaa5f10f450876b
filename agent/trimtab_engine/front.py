"""The front process: wires engine, routes and HTTP server, and lives from start to drained."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable

from trimtab_api.engine_knobs import BASE_VARIANT, Knob
from trimtab_engine.agent_link.client import AgentClient
from trimtab_engine.agent_link.link import AgentLink
from trimtab_engine.context import Context
from trimtab_engine.engine import Engine
from trimtab_engine.http_server import HttpServer
from trimtab_engine.routes.router import Router

_POLL_SECONDS = 0.02
# After the last answer clients get this long to close their side before the process ends.
_LAST_ANSWERS_SECONDS = 1.0


async def serve(context: Context) -> int:
    """Serve until SIGTERM or SIGINT, then drain. Returns the exit code.

    Raises:
        SettingError: the tokenizer cannot be read.
        OSError: the address cannot be bound.
    """
    loop, log, settings = asyncio.get_running_loop(), context.log, context.settings
    stop = asyncio.Event()
    failed = asyncio.Event()

    def give_up() -> None:
        log.event("model_not_loaded", advice="see the lines of the worker above; the process ends")
        failed.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    engine = Engine(context, give_up)
    router = Router(engine, log, context.version)
    server = HttpServer(
        router.handle, router.refuse, settings.max_body_bytes, settings.max_connections, settings.read_timeout_seconds
    )
    close_link = _attach(engine, context)
    try:
        engine.start()
        port = await server.listen(settings.host, settings.port)
        log.event("listening", host=settings.host, port=port, pid=os.getpid(), models=", ".join(engine.intakes))
        await stop.wait()
        if failed.is_set():
            return 1
        await _drain(engine, server, context)
        return 0
    finally:
        close_link()
        server.close()
        engine.close()


def _attach(engine: Engine, context: Context) -> Callable[[], None]:
    """Begin to ask this node's agent for settings, where one is configured. Returns how to stop."""
    agent = context.settings.agent
    if agent is None:
        return lambda: None
    link = AgentLink(
        started=context.settings.live,
        apply=engine.apply,
        settled=engine.first_settings.settle,
        later=asyncio.get_running_loop().call_later,
        metrics=engine.metrics.link,
        log=context.log,
        offers={Knob.VARIANT: (BASE_VARIANT, *sorted({each.name for each in context.declared}))},
    )
    engine.report_slow_to(link.slow_is)
    client = AgentClient(agent, link, context.log)
    client.start()

    def close() -> None:
        client.close()
        link.close()

    return close


async def _drain(engine: Engine, server: HttpServer, context: Context) -> None:
    """Not ready at once; serve on while endpoints lag; then refuse, finish what was admitted, within the time given."""
    began, settings, log = time.monotonic(), context.settings, context.log
    end = began + settings.drain_seconds
    log.event("draining", outstanding=server.outstanding, connections=server.open_connections)
    engine.begin_drain()
    server.draining = True
    await asyncio.sleep(settings.drain_grace_seconds)
    engine.refuse_new()
    while server.outstanding and time.monotonic() < end:  # noqa: ASYNC110  two conditions, once per process
        await asyncio.sleep(_POLL_SECONDS)
    abandoned = server.outstanding
    engine.abandon()
    server.stop_listening()
    last = time.monotonic() + _LAST_ANSWERS_SECONDS
    while server.open_connections and time.monotonic() < last:
        server.stop_listening()  # closes what has become idle since
        await asyncio.sleep(_POLL_SECONDS)
    log.event("drained", seconds=round(time.monotonic() - began, 3), abandoned=abandoned)
