"""Wires the engine side together: one server and three loops that live and end as one."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

from trimtab_agent.engines.attached import Engines
from trimtab_agent.engines.certificate import PACE, Pace, ServingCertificate
from trimtab_agent.engines.known_tuning import KnownTuning
from trimtab_agent.engines.kube import ApiAccess, KubeApi
from trimtab_agent.engines.pace import Buckets, Rate
from trimtab_agent.engines.polls import Polls
from trimtab_agent.engines.server import Desk, Wire, build_server
from trimtab_agent.engines.status_writer import StatusWriter
from trimtab_agent.engines.token_review import TokenReviews
from trimtab_agent.engines.tuning import TuningWatch
from trimtab_agent.metrics import Instruments, WireReading
from trimtab_agent.settings import Settings

REQUESTS_OF_A_POD = Rate(per_second=5.0, burst=20)
MAX_PODS = 1024

_log = logging.getLogger(__name__)


def api_access(settings: Settings) -> ApiAccess | None:
    """Return how the API server is reached; None, said in the log, where the wire has nothing to stand on."""
    missing = [
        name
        for name, present in {
            "API server": bool(settings.api_server),
            "token": Path(settings.api_token_file).is_file(),
            "NODE_NAME": bool(settings.node),
            "POD_NAMESPACE": bool(settings.namespace),
        }.items()
        if not present
    ]
    if missing:
        _log.info("engine wire is off", extra={"values": {"missing": missing}})
        return None
    return ApiAccess(settings.api_server, settings.api_token_file, settings.api_ca_file)


class EngineWire:
    """Serves engines on `listener` until it is stopped. Make it inside of the running event loop."""

    def __init__(
        self,
        access: ApiAccess,
        settings: Settings,
        listener: socket,
        instruments: Instruments,
        pace: Pace = PACE,
    ) -> None:
        self._api = KubeApi(access)
        self._listener = listener
        self._known = KnownTuning()
        self._polls = Polls()
        self._watch = TuningWatch(self._api, settings.node, self._known)
        self._writer = StatusWriter(self._api, settings.node, self._known, _now, instruments.count_status_write)
        self._engines = Engines(_now, self._writer.news)
        self._certificate = ServingCertificate(
            self._api, settings.node, settings.namespace, authority=self._known.authority, now=_now, pace=pace
        )
        self._known.on_change(self._polls.wake)
        self._known.on_change(lambda _: self._writer.news())
        self._known.on_change(lambda _: self._certificate.look())
        desk = Desk(
            self._known,
            self._polls,
            self._engines,
            TokenReviews(self._api, settings.node, time.monotonic),
            Buckets(REQUESTS_OF_A_POD, time.monotonic, MAX_PODS),
            _now,
            instruments.count_wire_request,
        )
        _log.info("engine wire starts", extra={"values": {"engine_port": listener.getsockname()[1]}})
        self._server = build_server(Wire(desk).app(), self._certificate.context)

    async def run(self) -> None:
        """Serve until `stop`; ends at once when a loop breaks, with its error."""
        loops = [
            asyncio.create_task(loop)
            for loop in (self._watch.run(), self._writer.run(self._engines), self._certificate.run())
        ]
        serving = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        try:
            ended, _ = await asyncio.wait({*loops, serving}, return_when=asyncio.FIRST_COMPLETED)
            self.stop()
            await serving
            for task in ended:
                task.result()
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.wait(loops)
            await self._api.close()

    def stop(self) -> None:
        """Answer those who wait, and end."""
        self._polls.close()
        self._server.should_exit = True

    def reading(self) -> WireReading:
        """Return what the metrics show of the wire now."""
        now = _now()
        seen = [engine for uid, engine in self._engines.seen().items() if self._known.entry_hash(uid) is not None]
        attached = sum(engine.is_attached(now) for engine in seen)
        expires_at = self._certificate.expires_at
        return WireReading(
            attached=attached,
            lost=len(seen) - attached,
            synced=self._known.synced,
            certificate_expires_seconds=None if expires_at is None else expires_at.timestamp(),
        )


def _now() -> datetime:
    return datetime.now(UTC)
