"""The node queue: one key per node, so that nothing but one composition writes a NodeTuning."""

from __future__ import annotations

import logging
from typing import Final

from trimtab_operator.actuation.node_tuning import NodeTuner
from trimtab_operator.clock import Clock
from trimtab_operator.controllers.queue import KeyedQueue
from trimtab_operator.errors import KubeError, LeadershipLost
from trimtab_operator.kube.resources import NODE_TUNINGS
from trimtab_operator.telemetry import Telemetry

RESYNC_SECONDS: Final = 300.0  # a foreign edit of a NodeTuning is put right within this time
AGAIN_SECONDS: Final = 5.0
AGAIN: Final = {"withheld", "waiting", "written"}  # outcomes after which a node is looked at again soon
AUTHORITY_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class NodeWorker:
    """Takes nodes from their queue and tunes them."""

    def __init__(self, tuner: NodeTuner, queue: KeyedQueue[str], telemetry: Telemetry) -> None:
        self._tuner = tuner
        self._queue = queue
        self._telemetry = telemetry

    async def work(self) -> None:
        """Take nodes for ever.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        await self._begin()
        while True:
            await self.once(await self._queue.get())

    async def once(self, node: str) -> str:
        """Tune one node, with its consequences for the queue; answers the outcome's name."""
        try:
            outcome: str = await self._tuner.tune(node)
        except LeadershipLost:
            self._queue.retry(node)
            raise
        except KubeError as error:
            delay = self._queue.retry(node)
            pairs = {"node": node, "error": str(error), "retry_seconds": round(delay, 1)}
            log.warning("node not tuned", extra={"pairs": pairs})
            outcome = type(error).__name__
        else:
            self._queue.done(node, AGAIN_SECONDS if outcome in AGAIN else RESYNC_SECONDS)
        self._telemetry.node(outcome)
        return outcome

    async def follow_authority(self, clock: Clock) -> None:
        """Look at every node again when another authority signs: its agent is told to ask for a new certificate."""
        told = self._tuner.authority()
        while True:
            await clock.sleep(AUTHORITY_SECONDS)
            now = self._tuner.authority()
            if now != told:
                told = now
                await self._begin()

    async def _begin(self) -> None:
        """Look at every node that has a NodeTuning: entries of policies that went while nobody led are seen to."""
        try:
            for body in await self._tuner.hands.kube.list_all(NODE_TUNINGS, None):
                self._queue.add(str(body["metadata"]["name"]))
        except KubeError as error:
            log.warning("node tunings not listed", extra={"pairs": {"error": str(error)}})
