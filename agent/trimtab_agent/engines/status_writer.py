"""Writes this node's NodeTuning.status when what it says changes, and only then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from trimtab_agent.engines.attached import Engines
from trimtab_agent.engines.known_tuning import KnownTuning
from trimtab_agent.engines.kube import ApiConflictError, ApiError, ApiNotFoundError, KubeApi
from trimtab_agent.engines.pace import Backoff
from trimtab_agent.engines.status import compose_status, is_same

LOOK_SECONDS = 5.0
"""How often it is looked whether an engine was lost or a trial ran out: nobody tells of those."""
BETWEEN_WRITES_SECONDS = 0.5
MAX_CONFLICTS = 5
FIRST_RETRY_SECONDS = 1.0
MOST_RETRY_SECONDS = 30.0

Json = dict[str, Any]
_log = logging.getLogger(__name__)


class StatusWriter:
    """`now` tells the time; `count` is told the outcome of each write: written, conflict or failed."""

    def __init__(
        self,
        api: KubeApi,
        node: str,
        known: KnownTuning,
        now: Callable[[], datetime],
        count: Callable[[str], None],
    ) -> None:
        self._api = api
        self._node = node
        self._known = known
        self._now = now
        self._count = count
        self._news = asyncio.Event()
        self._backoff = Backoff(FIRST_RETRY_SECONDS, MOST_RETRY_SECONDS)

    def news(self) -> None:
        """Have the loop look at once: an engine told something, or the entries changed."""
        self._news.set()

    async def run(self, engines: Engines) -> None:
        """Write for ever what `engines` say."""
        while True:
            wait = LOOK_SECONDS
            try:
                wrote = await self._write(engines)
            except ApiError as error:
                self._count("failed")
                wait = self._backoff.next_seconds()
                _log.warning("node tuning status not written", extra={"values": {"error": str(error)}})
                await asyncio.sleep(wait)
                continue
            except Exception:  # whatever an object holds, the loop goes on
                _log.exception("node tuning status not composed")
            else:
                self._backoff.reset()
                if wrote:
                    await asyncio.sleep(BETWEEN_WRITES_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._news.wait()

    async def _write(self, engines: Engines) -> bool:
        """Bring the stored status up to date; tell whether anything was sent."""
        self._news.clear()
        body = self._known.body
        for attempt in range(MAX_CONFLICTS):
            if body is None:
                return attempt > 0
            status = compose_status(body, engines.seen(), engines.started_at, self._now())
            if is_same(status, body.get("status") or {}):
                return attempt > 0
            try:
                await self._send(body["metadata"]["resourceVersion"], status)
            except ApiNotFoundError:
                return True
            except ApiConflictError:
                self._count("conflict")
                body = await self._read()
            else:
                return True
        self._news.set()
        return True

    async def _send(self, version: str, status: Json) -> None:
        stored = await self._api.patch_tuning_status(self._node, version, status)
        self._count("written")
        if self._known.version() == version:
            # Our write followed this very version, so nothing newer can be lost by taking it over before the watch
            # tells of it; where the watch was faster, it knows at least as much.
            self._known.replace(stored)

    async def _read(self) -> Json | None:
        try:
            return await self._api.tuning(self._node)
        except ApiNotFoundError:
            return None
