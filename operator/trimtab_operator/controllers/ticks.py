"""Around a tick: the live read before it, the errors that end it, the gauges and the log line after it.

One policy's error never touches another, and no error but a lost Lease ends the loop.
"""

from __future__ import annotations

import logging
import zlib
from typing import Final

from trimtab_api import OptimizationPolicy
from trimtab_api.conditions import ReadyReason
from trimtab_api.policy_status import LedgerEvent
from trimtab_operator.controllers.cache import PolicyCache, PolicyKey
from trimtab_operator.controllers.gauges import policy_gauges
from trimtab_operator.controllers.queue import KeyedQueue
from trimtab_operator.controllers.reconcile import reconcile
from trimtab_operator.controllers.refusals import parse_policy, refuse
from trimtab_operator.controllers.world import Tick, World
from trimtab_operator.errors import InvalidPolicy, KubeError, KubeNotFound, LeadershipLost, UnsafeStep
from trimtab_operator.kube.port import Json
from trimtab_operator.kube.resources import POLICIES

ALIGNED_SECONDS: Final = 5.0
SPREAD_SECONDS: Final = 1.0
REFUSED_SECONDS: Final = 300.0

log = logging.getLogger(__name__)


class Ticks:
    """Runs ticks for the queue's keys."""

    def __init__(self, world: World, cache: PolicyCache, queue: KeyedQueue[PolicyKey]) -> None:
        self._world = world
        self._cache = cache
        self._queue = queue

    async def work(self) -> None:
        """Take keys for ever; several of these run side by side.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        while True:
            key = await self._queue.get()
            try:
                outcome = await self.run(key)
            except LeadershipLost:
                self._queue.retry(key)
                raise
            self._world.telemetry.tick(outcome)

    async def run(self, key: PolicyKey) -> str:
        """Do one tick with its consequences for the queue; answers the outcome's name."""
        namespace, name = key
        known = self._cache.uid(key)
        try:
            body = await self._world.kube.get(POLICIES, namespace, name)
        except KubeNotFound:
            self._forget(key, known)
            return "gone"
        except KubeError as error:
            return self._failed(key, error)
        self._cache.put(body)
        try:
            return await self._tick(key, body)
        except KubeError as error:
            return self._failed(key, error)

    async def _tick(self, key: PolicyKey, body: Json) -> str:
        try:
            policy = parse_policy(body)
            tick = await reconcile(self._world, body, policy)
        except InvalidPolicy as error:
            await self._refuse(key, body, ReadyReason.INVALID_SPEC, str(error))
            self._queue.done(key, REFUSED_SECONDS)
            return "InvalidPolicy"
        except (KubeError, LeadershipLost):
            raise
        except Exception as error:
            log.exception("tick broke", extra={"pairs": {"policy": "/".join(key)}})
            kind = "an unsafe step was refused" if isinstance(error, UnsafeStep) else type(error).__name__
            mistake = f"the operator made a mistake ({kind}); see its log"
            await self._refuse(key, body, ReadyReason.INTERNAL_ERROR, mistake)
            self._queue.retry(key)
            return type(error).__name__
        if self._world.recording is not None:
            self._world.recording.add(tick.snapshot, policy, tick.step)
        self._tell(key, body, policy, tick)
        self._queue.done(key, self.delay_seconds(key, tick.step.requeue_seconds))
        return "ok"

    async def _refuse(self, key: PolicyKey, body: Json, reason: ReadyReason, message: str) -> None:
        self._world.hands.board.hear(key)
        await refuse(self._world.kube, body, reason, message, self._world.clock.now())

    def _forget(self, key: PolicyKey, uid: str | None) -> None:
        """Forget the policy `uid`; one that took its name while it was looked for is looked at next."""
        self._cache.remove(key, uid)
        self._world.hands.board.forget(key)
        self._world.telemetry.forget_policy(*key)
        if key in self._cache:
            self._queue.done(key, 0)
        else:
            self._queue.forget(key)

    def _failed(self, key: PolicyKey, error: KubeError) -> str:
        delay = self._queue.retry(key)
        pairs = {"policy": "/".join(key), "error": str(error), "retry_seconds": round(delay, 1)}
        log.warning("tick failed", extra={"pairs": pairs})
        return type(error).__name__

    def delay_seconds(self, key: PolicyKey, requeue_seconds: float) -> float:
        """Until the next tick: on a multiple of the interval, so that policies share their queries, a little spread."""
        if requeue_seconds < ALIGNED_SECONDS:
            return requeue_seconds
        now = self._world.clock.now()
        boundary = (now // requeue_seconds + 1) * requeue_seconds
        return boundary - now + zlib.crc32("/".join(key).encode()) % 1000 / 1000 * SPREAD_SECONDS

    def _tell(self, key: PolicyKey, body: Json, policy: OptimizationPolicy, tick: Tick) -> None:
        """Gauges, and one line: at info when the state changed, else at debug."""
        stored = body.get("status") or {}
        status = tick.step.status if tick.step.status is not None else stored
        phase = str(status.get("phase") or policy.status.phase.value)
        self._world.telemetry.policy(*key, phase, policy_gauges(tick, status))
        self._world.telemetry.rolled_back(*key, _new_rollbacks(stored, status))
        changed = tick.step.status is not None or bool(tick.step.actions)
        pairs = {
            "policy": "/".join(key),
            "phase": phase,
            "trusted": tick.analysis.trust.reason,
            "bottleneck": tick.analysis.bottleneck.kind.value if tick.analysis.bottleneck else None,
            "replicas": status.get("replicasSummary"),
            "actions": len(tick.step.actions),
            "wrote_status": tick.step.status is not None,
        }
        log.log(logging.INFO if changed else logging.DEBUG, "tick", extra={"pairs": pairs})


def _new_rollbacks(before: Json, after: Json) -> int:
    """Count the roll backs that stand in the new history and did not in the stored one."""
    known = {entry["id"] for entry in before.get("history") or ()}
    entries = after.get("history") or ()
    return sum(entry["what"] == LedgerEvent.ROLLED_BACK and entry["id"] not in known for entry in entries)
