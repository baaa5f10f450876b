"""The operator process: wires settings, clients and clock; the only place that chooses implementations.

Exit codes: 0 stopped by a signal, 1 the Lease was lost or something broke, 2 the settings cannot work.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from prometheus_client import disable_created_metrics

from trimtab_operator.actuation.board import TuningBoard
from trimtab_operator.actuation.events import EventLedger
from trimtab_operator.actuation.execute import Hands
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.actuation.node_tuning import NodeTuner
from trimtab_operator.clock import Clock, SystemClock
from trimtab_operator.controllers.cache import PolicyCache, PolicyKey
from trimtab_operator.controllers.controller import Controller
from trimtab_operator.controllers.health import HealthServer, loop_problem
from trimtab_operator.controllers.leadership import Elector
from trimtab_operator.controllers.logs import configure
from trimtab_operator.controllers.nodes import NodeWorker
from trimtab_operator.controllers.queue import KeyedQueue
from trimtab_operator.controllers.recording import Recording
from trimtab_operator.controllers.schema import SchemaCheck
from trimtab_operator.controllers.trust.trust import Trust
from trimtab_operator.controllers.watch import Deliver, PolicyWatch
from trimtab_operator.controllers.world import World
from trimtab_operator.errors import InvalidSettings, LeadershipLost
from trimtab_operator.kube.client import KubeClient
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.login import api_client
from trimtab_operator.kube.mode import ModeSwitch
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feeds
from trimtab_operator.observation.observe import Eyes
from trimtab_operator.observation.prometheus import PrometheusAdapter
from trimtab_operator.observation.target import TargetReader
from trimtab_operator.settings import Settings
from trimtab_operator.telemetry import Telemetry

LEASE_NAME = "trimtab-operator"

log = logging.getLogger("trimtab_operator")


@dataclass(frozen=True)
class Operator:
    """The parts of one process."""

    settings: Settings
    telemetry: Telemetry
    gate: WriteGate
    elector: Elector
    schema: SchemaCheck
    controller: Controller
    trust: Trust
    health: HealthServer


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Operator]:
    """Build everything, and close what needs closing. Raises InvalidSettings."""
    clock = SystemClock()
    telemetry, gate = Telemetry(clock), WriteGate(clock)
    kube = KubeClient(await api_client(settings.kubeconfig), gate, telemetry, settings.lease.write_timeout_seconds)
    prometheus = PrometheusAdapter(settings.prometheus, clock, telemetry)
    try:
        yield _operator(settings, clock, kube, prometheus, telemetry=telemetry, gate=gate)
    finally:
        prometheus.close()
        await kube.close()


def _operator(
    settings: Settings,
    clock: Clock,
    kube: KubeClient,
    prometheus: PrometheusAdapter,
    *,
    telemetry: Telemetry,
    gate: WriteGate,
) -> Operator:
    queue: KeyedQueue[PolicyKey] = KeyedQueue(clock)
    nodes: KeyedQueue[str] = KeyedQueue(clock)
    cache = PolicyCache(queue.add)
    identity = f"{settings.pod_name}_{uuid.uuid4().hex[:8]}"
    switch = ModeSwitch(kube, clock, settings.pod_namespace, settings.mode_configmap)
    hands = Hands(kube, switch, TuningBoard(nodes.add, cache.all_keys), FailPoint(settings.fail_point))
    trust = Trust(kube, clock, settings.pod_namespace, hands.board.namespaces, settings.trust, telemetry=telemetry)
    eyes = _eyes(settings, kube, Batch(prometheus, cache.namespaces), switch, cache)
    controller = Controller(
        World(clock, kube, eyes, EventLedger(kube, clock, identity), hands, telemetry, _recording(settings)),
        cache,
        queue,
        partial(_watch, settings),
        NodeWorker(NodeTuner(hands, lambda: trust.authority_hash, settings.watch_namespaces), nodes, telemetry),
        namespaces=settings.watch_namespaces,
        concurrency=settings.concurrency,
    )
    schema = SchemaCheck(kube, clock)
    elector = Elector(
        kube, gate, clock, settings.lease, namespace=settings.pod_namespace, name=LEASE_NAME, identity=identity
    )

    def alive() -> str | None:
        return loop_problem(queue.overdue_seconds(), controller.list_age_seconds)

    health = HealthServer(telemetry, alive=alive, ready=lambda: schema.problem, port=settings.port)
    return Operator(settings, telemetry, gate, elector, schema, controller, trust, health)


def _eyes(settings: Settings, kube: KubeClient, batch: Batch, switch: ModeSwitch, cache: PolicyCache) -> Eyes:
    feeds = Feeds(batch, settings.label_namespace, settings.label_pod, settings.scrape_interval_seconds)
    return Eyes(kube, batch, feeds, TargetReader(kube), switch, cache.bodies, settings.pod_namespace)


def _recording(settings: Settings) -> Recording | None:
    where = settings.recording
    return None if where is None else Recording(where.directory, where.limit_bytes)


def _watch(settings: Settings, deliver: Deliver) -> PolicyWatch:
    return PolicyWatch(deliver, settings.watch_namespaces, settings.kubeconfig)


async def lead(operator: Operator) -> None:
    """Wait for the Lease and for our kinds, then work until the Lease is lost.

    Raises:
        LeadershipLost: (in a group) the gate is closed by then.
    """
    if operator.settings.lease.enabled:
        await operator.elector.acquire()
    else:
        operator.gate.open_until(math.inf)
    operator.telemetry.leader(held=True)
    log.info("leading")
    async with asyncio.TaskGroup() as group:
        if operator.settings.lease.enabled:
            group.create_task(operator.elector.hold(), name="hold the Lease")
        await operator.schema.installed()
        group.create_task(operator.trust.run(), name="trust")
        group.create_task(operator.controller.run(), name="controller")


async def run(settings: Settings) -> int:
    """Live the life of the process; answers its exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with assembled(settings) as operator:
        await operator.health.start()
        tasks = {
            asyncio.create_task(operator.schema.watch(), name="schema"),
            asyncio.create_task(lead(operator), name="lead"),
            asyncio.create_task(stop.wait(), name="signal"),
        }
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        operator.telemetry.leader(held=False)
        code = 0 if stop.is_set() else _broke(done)
        await operator.elector.release()
        await operator.health.stop()
        log.info("stopped", extra={"pairs": {"exit_code": code}})
        return code


def _broke(done: Iterable[asyncio.Task[Any]]) -> int:
    for task in done:
        error = task.exception()
        if error is None:
            continue
        lost = error.split(LeadershipLost)[0] if isinstance(error, BaseExceptionGroup) else None
        if lost is not None:
            log.warning("leadership lost")
        else:
            log.error("stopped by an error", exc_info=error)
    return 1


def main() -> None:
    """Entry point `trimtab-operator`."""
    try:
        settings = Settings.from_environ(os.environ)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        configure(settings.log_level)
        code = asyncio.run(run(settings))
    except InvalidSettings as error:
        sys.stderr.write(f"trimtab-operator: {error}\n")
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
