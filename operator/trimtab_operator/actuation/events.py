"""Kubernetes Events about policies: our own, since kopf never counts repeats.

The same (policy, reason, message) within ten minutes is not sent again; after that the stored Event is counted up.
What is remembered is bounded; forgetting costs one more Event, never a wrong one.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from trimtab_operator.clock import Clock
from trimtab_operator.errors import KubeError, KubeNotFound
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import POLICIES
from trimtab_operator.model.action import Event

QUIET_SECONDS: Final = 600.0
REMEMBERED: Final = 1000
MESSAGE_LIMIT: Final = 1024  # the API server refuses longer ones

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Sent:
    name: str
    at: float
    count: int


class EventLedger:
    """Publishes Events in the policy's namespace."""

    def __init__(self, kube: Kube, clock: Clock, reporter: str) -> None:
        self._kube = kube
        self._clock = clock
        self._reporter = reporter
        self._sent: OrderedDict[tuple[str, str, str], _Sent] = OrderedDict()

    async def publish(self, policy: Json, event: Event) -> None:
        """Send, count up, or stay quiet. A failure is logged: the ledger of record is the status, not the Event.

        Raises:
            LeadershipLost: nothing may be written any more.
        """
        key = (str(policy["metadata"].get("uid")), event.reason, event.message)
        sent, now = self._sent.get(key), self._clock.now()
        try:
            if sent is None:
                self._remember(key, await self._create(policy, event, now))
            elif now - sent.at >= QUIET_SECONDS:
                self._remember(key, await self._repeat(policy, event, sent, now))
            else:
                self._sent[key] = replace(sent, count=sent.count + 1)
        except KubeError as error:
            log.warning("event not written", extra={"pairs": {"reason": event.reason, "error": str(error)}})

    def _remember(self, key: tuple[str, str, str], sent: _Sent) -> None:
        self._sent[key] = sent
        self._sent.move_to_end(key)
        while len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)

    async def _create(self, policy: Json, event: Event, now: float) -> _Sent:
        metadata = policy["metadata"]
        digest = hashlib.sha256(f"{metadata.get('uid')}{event.reason}{event.message}{now}".encode()).hexdigest()[:16]
        name = f"{metadata['name']}.{digest}"
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": POLICIES.api_version,
                "kind": POLICIES.kind,
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata.get("uid"),
                "resourceVersion": metadata.get("resourceVersion"),
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:MESSAGE_LIMIT],
            "source": {"component": "trimtab-operator"},
            "reportingComponent": "trimtab.dev/operator",
            "reportingInstance": self._reporter,
            "firstTimestamp": _stamp(now),
            "lastTimestamp": _stamp(now),
            "count": 1,
        }
        await self._kube.create_event(metadata["namespace"], body)
        return _Sent(name, now, 1)

    async def _repeat(self, policy: Json, event: Event, sent: _Sent, now: float) -> _Sent:
        """Count the stored Event up; the API server deletes Events after an hour, then it is a new one."""
        try:
            patch = {"count": sent.count + 1, "lastTimestamp": _stamp(now)}
            await self._kube.patch_event(policy["metadata"]["namespace"], sent.name, patch)
        except KubeNotFound:
            return await self._create(policy, event, now)
        return _Sent(sent.name, now, sent.count + 1)


def _stamp(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
