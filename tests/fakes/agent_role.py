"""The agents of a test's own nodes, and as much of their kubelets as the control plane wants to see.

There is no machine behind these nodes: the role keeps them Ready, and answers for the engine of every pod that their
NodeTunings name, as the real agent does: attached, and running with what the entry asks.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from fakes.kube import stamp
from harness.leftovers import OF_A_TEST

from trimtab_api.wire import settings_hash
from trimtab_operator.errors import KubeConflict, KubeError, KubeNotFound
from trimtab_operator.kube.port import Kube
from trimtab_operator.kube.resources import NODE_TUNINGS, NODES

Json = dict[str, Any]
PodKey = tuple[str, str]
"""(namespace, name)"""

STARTED_WITH: Json = {"maxBatchSize": 1, "maxQueueDelay": "5ms", "cacheMemory": "0"}
HEARTBEAT_SECONDS = 8.0
LOOK_SECONDS = 0.2


class AgentRole:
    """Answers `answers_after` seconds after an entry asked for other settings than those in force."""

    def __init__(self, kube: Kube, nodes: tuple[str, ...], *, answers_after: float) -> None:
        self._kube = kube
        self._nodes = nodes
        self._answers_after = answers_after
        self._waits: dict[str, tuple[str, float]] = {}  # by pod uid: what is asked for, since when
        self._in_force: defaultdict[PodKey, list[tuple[float, Json]]] = defaultdict(list)
        self.asked: defaultdict[PodKey, list[tuple[int | None, bool]]] = defaultdict(list)
        """What was asked of each pod, one after the other: largest batch (None: as started), and whether on trial."""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Make the nodes, and answer until the block ends."""
        for name in self._nodes:
            body = {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": dict([OF_A_TEST])},
                "spec": {"unschedulable": True},
            }
            await self._kube.create(NODES, None, body)
            while not await self._said_ready(name):
                pass
        tasks = [asyncio.create_task(self._for_ever(self._beat, HEARTBEAT_SECONDS))]
        tasks.append(asyncio.create_task(self._for_ever(self._look, LOOK_SECONDS)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for name in self._nodes:
                with suppress(KubeError):  # what cannot be deleted now, the next run deletes
                    await self._kube.delete(NODES, None, name)

    def batch_size(self, pod: PodKey, at: float) -> int:
        """Largest batch of the pod's engine at that time (unix seconds)."""
        in_force = STARTED_WITH
        for since, settings in list(self._in_force[pod]):
            if since <= at:
                in_force = STARTED_WITH | settings
        return int(in_force["maxBatchSize"])

    async def _for_ever(self, work: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            with suppress(KubeError):  # a conflict, or a busy server: the next round does it
                await work()
            await asyncio.sleep(pause)

    async def _beat(self) -> None:
        """Say that the nodes live: pods on a node that does not are taken for not ready."""
        for name in self._nodes:
            await self._said_ready(name)

    async def _said_ready(self, name: str) -> bool:
        """Say that a node is ready; False where a controller wrote it meanwhile."""
        now = stamp(time.time())
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "played by a test",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        version = (await self._kube.get(NODES, None, name))["metadata"]["resourceVersion"]
        try:
            await self._kube.patch_status(NODES, None, name, {"conditions": [ready]}, version)
        except KubeConflict:
            return False
        return True

    async def _look(self) -> None:
        for name in self._nodes:
            with suppress(KubeNotFound):
                await self._answer(await self._kube.get(NODE_TUNINGS, None, name))

    async def _answer(self, tuning: Json) -> None:
        entries = (tuning.get("spec") or {}).get("engines") or []
        before = {each["podUid"]: each for each in (tuning.get("status") or {}).get("engines") or []}
        reports = [report for entry in entries if (report := self._report(entry, before.get(entry["podUid"])))]
        if reports == list(before.values()):
            return
        wanted = {entry["podUid"]: settings_hash(entry["settings"]) for entry in entries}
        running = sum(report["appliedHash"] == wanted[report["podUid"]] for report in reports)
        status = {
            "observedGeneration": tuning["metadata"]["generation"],
            "summary": f"{running}/{len(entries)}",
            "engines": reports,
        }
        name, version = tuning["metadata"]["name"], tuning["metadata"]["resourceVersion"]
        await self._kube.patch_status(NODE_TUNINGS, None, name, status, version)

    def _report(self, entry: Json, before: Json | None) -> Json | None:
        """Answer for one engine; what it said before, or nothing yet, until its time has come."""
        pod, uid, wanted = (entry["namespace"], entry["pod"]), entry["podUid"], settings_hash(entry["settings"])
        asked = (entry["settings"].get("maxBatchSize"), "trial" in entry)
        if not self.asked[pod] or self.asked[pod][-1] != asked:
            self.asked[pod].append(asked)
        if before is not None and before["appliedHash"] == wanted:
            self._waits.pop(uid, None)
            return before
        now = time.time()
        if self._waits.get(uid, ("", 0.0))[0] != wanted:
            self._waits[uid] = (wanted, now)
        if now - self._waits[uid][1] < self._answers_after:
            return before
        self._in_force[pod].append((now, entry["settings"]))
        return {
            "podUid": uid,
            "appliedHash": wanted,
            "applied": STARTED_WITH | entry["settings"],
            "at": stamp(now),
            "conditions": [_true("Attached", "Asking", now), _true("Applied", "AsAsked", now)],
        }


def _true(kind: str, reason: str, now: float) -> Json:
    return {"type": kind, "status": "True", "reason": reason, "message": "", "lastTransitionTime": stamp(now)}
