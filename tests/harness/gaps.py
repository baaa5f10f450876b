"""The gaps between two writes of the operator, into which a test leads it by refusing the second one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.cluster import eventually
from harness.denial import Denial
from harness.room import OPERATOR, Room

API = ("trimtab.dev", "v1alpha1")
HERE = "request.namespace == '$namespace'"
ENTRY_HERE = "object.spec.engines.exists(entry, entry.namespace == '$namespace'"
REFUSED = 422

SCALE = Denial("apps", "v1", "deployments/scale", HERE)
LEDGER = Denial(
    *API, "optimizationpolicies/status", f"{HERE} && has(oldObject.status.intent) && !has(object.status.intent)"
)
CURRENT_TRIAL = Denial(*API, "optimizationpolicies/status", f"{HERE} && has(object.status.currentTrial)")
CANARY = Denial(*API, "nodetunings", f"{ENTRY_HERE} && has(entry.trial))")
ROLLOUT = Denial(*API, "nodetunings", f"{ENTRY_HERE} && has(entry.settings.cacheMemory) && !has(entry.trial))")
"""The replicas; the end of an intent in the ledger; a trial in the policy; a change on one engine, and on more."""


@dataclass(frozen=True)
class Gap:
    """A write that is refused in a room, since a mark in the audit log."""

    room: Room
    denial: Denial
    mark: int

    def wait(self, seconds: float = 60) -> None:
        """Wait until the operator has run against it: the write before it is done."""
        eventually(self._refused, f"{self.denial.resource} is refused", seconds)

    def _refused(self) -> bool:
        writes = self.room.audit.writes(self.mark, OPERATOR)
        return any(write.resource == self.denial.resource and write.code == REFUSED for write in writes)


@contextmanager
def denied(room: Room, denial: Denial) -> Iterator[Gap]:
    """Refuse the write inside the block."""
    name = f"e2e-{secrets.token_hex(4)}"
    manifests = denial.manifests(name, room.namespace)
    room.cluster.apply(*manifests)
    try:
        yield Gap(room, denial, room.audit.mark())
    finally:
        for manifest in reversed(manifests):
            room.cluster.kubectl("delete", manifest["kind"], name, "--ignore-not-found")
