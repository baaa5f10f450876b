"""Starts the agent: reads the settings and wires sources, collector, metrics, servers and the engine wire together."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from socket import socket

from trimtab_agent import __version__
from trimtab_agent.collector import BoundedCall, Collector, Sources
from trimtab_agent.engines.wire import EngineWire, api_access
from trimtab_agent.logs import configure_logs
from trimtab_agent.metrics import Instruments, build_registry
from trimtab_agent.node import NodePods
from trimtab_agent.nvml import Nvml
from trimtab_agent.pod_resources import PodResources
from trimtab_agent.server import Server, build_server, listen, routes
from trimtab_agent.settings import Settings, SettingsError, read_settings

SOURCE_TIMEOUT_SECONDS = 10.0
"""Deadline of one source in one tick: far above what a busy node needs, far below what makes the loop unhealthy."""
POD_RESOURCES_TIMEOUT_SECONDS = 5.0

_log = logging.getLogger(__name__)


def main() -> None:
    """Run until SIGTERM; exits 2 on a setting that cannot be used."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"trimtab-agent: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    configure_logs(settings.log_level)
    asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    """Collect and serve until the server is told to stop. Raises OSError when the port is taken."""
    pod_resources = PodResources(settings.pod_resources_socket, POD_RESOURCES_TIMEOUT_SECONDS)
    node = NodePods(settings.cgroup_root, settings.proc_root, settings.pod_logs)
    sources = Sources(
        BoundedCall(Nvml(time.monotonic).read, SOURCE_TIMEOUT_SECONDS),
        BoundedCall(node.read, SOURCE_TIMEOUT_SECONDS),
        BoundedCall(pod_resources.read, SOURCE_TIMEOUT_SECONDS),
    )
    instruments = Instruments()
    collector = Collector(sources, time.monotonic, settings.interval_seconds, instruments.observe)
    access = api_access(settings)
    wire = None if access is None else EngineWire(access, settings, listen(settings.engine_port), instruments)
    registry = build_registry(
        collector.fresh, instruments, settings.node, __version__, None if wire is None else wire.reading
    )
    listener = listen(settings.port)
    _log.info("agent starts", extra={"values": {"version": __version__, "port": listener.getsockname()[1]}})
    await serve(build_server(routes(collector, registry)), listener, collector, wire)
    pod_resources.close()


async def serve(server: Server, listener: socket, collector: Collector, wire: EngineWire | None) -> None:
    """Run servers and loops until one of them ends; then end them all, with the error of what broke."""
    collecting = asyncio.create_task(collector.run())
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    tasks = [serving, collecting]
    if wire is not None:
        tasks.append(asyncio.create_task(wire.run()))
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    if wire is not None:
        wire.stop()
    if not collecting.done():
        collecting.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


if __name__ == "__main__":
    main()
