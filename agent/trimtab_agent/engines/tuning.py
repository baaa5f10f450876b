"""Follows this node's NodeTuning: list, watch, and list anew when the watch ends, however it ends."""

from __future__ import annotations

import asyncio
import logging
import time

from trimtab_agent.engines.known_tuning import KnownTuning
from trimtab_agent.engines.kube import ApiError, ApiGoneError, KubeApi
from trimtab_agent.engines.pace import Backoff, spread

WATCH_SECONDS = 270
"""With its spread at most five minutes: then everything is listed anew, whatever the watch may have missed."""
FIRST_RETRY_SECONDS = 0.5
MOST_RETRY_SECONDS = 30.0
STEADY_SECONDS = 10.0
"""A watch that held for so long ends the back-off: one that breaks at once must not be tried in a tight loop."""

_log = logging.getLogger(__name__)


class TuningWatch:
    """Keeps `known` as fresh as the API server lets it. While that is away what was known stays."""

    def __init__(self, api: KubeApi, node: str, known: KnownTuning) -> None:
        self._api = api
        self._node = node
        self._known = known
        self._backoff = Backoff(FIRST_RETRY_SECONDS, MOST_RETRY_SECONDS)
        self._failing = False

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except ApiGoneError:
                _log.info("node tuning listed anew", extra={"values": {"node": self._node}})
            except ApiError as error:
                self._tell(str(error))
            except Exception:  # nothing that the API server sends may end the loop
                _log.exception("node tuning not understood")
            if time.monotonic() - started >= STEADY_SECONDS:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next_seconds())

    async def _follow(self) -> None:
        listed = await self._api.list_tunings(self._node)
        found = [body for body in listed.get("items") or () if body["metadata"]["name"] == self._node]
        self._known.replace(found[0] if found else None)
        if self._failing:
            self._failing = False
            _log.info("api server answers again", extra={"values": {"node": self._node}})
        version = listed["metadata"]["resourceVersion"]
        async for event in self._api.watch_tunings(self._node, version, int(spread(WATCH_SECONDS, 0.1))):
            body = event["object"]
            if event["type"] == "BOOKMARK" or body["metadata"]["name"] != self._node:
                continue
            self._known.replace(None if event["type"] == "DELETED" else body)

    def _tell(self, error: str) -> None:
        """Say once that it fails; what was known is served on."""
        if not self._failing:
            _log.warning("api server does not answer", extra={"values": {"node": self._node, "error": error}})
        self._failing = True
