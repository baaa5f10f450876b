"""Our own Lease election. A process writes only while its gate is open, and two gates are never open at once.

* Another holder's Lease is taken only when the record has not changed for its whole duration by *our* monotonic
  clock; wall clocks are never compared.
* Our gate is open until `renew_deadline` after the moment *before* the last successful renewal was sent: that is
  earlier than anyone else can have seen it, so ours closes first, by `duration - renew_deadline`.
* On loss the gate closes first; then everything stops; then the process exits.
"""

from __future__ import annotations

import logging
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from trimtab_operator.clock import Clock
from trimtab_operator.errors import KubeConflict, KubeError, KubeNotFound, LeadershipLost
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.port import Json
from trimtab_operator.kube.resources import LEASES
from trimtab_operator.settings import LeaseSettings

log = logging.getLogger(__name__)


class LeaseStore(Protocol):
    """The three calls of the port that an election needs."""

    async def get_lease(self, namespace: str, name: str) -> Json:
        """Read it; raises KubeNotFound."""
        ...

    async def create_lease(self, namespace: str, body: Json) -> Json:
        """Write it; raises KubeConflict."""
        ...

    async def replace_lease(self, namespace: str, name: str, body: Json) -> Json:
        """Write it; raises KubeConflict."""
        ...


@dataclass(frozen=True)
class _Seen:
    """A record of the Lease, and when we first saw it (our monotonic seconds)."""

    body: Json
    at: float

    @property
    def holder(self) -> str:
        return str((self.body.get("spec") or {}).get("holderIdentity") or "")

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    @property
    def duration_seconds(self) -> float:
        return float((self.body.get("spec") or {}).get("leaseDurationSeconds") or 0)


class Elector:
    """One candidate. `identity` must be new for each process, so that a restart never inherits its own old Lease."""

    def __init__(
        self,
        store: LeaseStore,
        gate: WriteGate,
        clock: Clock,
        settings: LeaseSettings,
        *,
        namespace: str,
        name: str,
        identity: str,
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._settings = settings
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._seen: _Seen | None = None

    async def acquire(self) -> None:
        """Try until the Lease is ours."""
        while not await self.attempt():
            await self._clock.sleep(self._wait_seconds())

    async def hold(self) -> None:
        """Renew until that fails for too long, or somebody else holds the Lease.

        Raises:
            LeadershipLost: always; the gate is closed by then.
        """
        while self._gate.is_open:
            await self._clock.sleep(self._settings.retry_seconds)
            if self._gate.is_open:
                await self.attempt()
        self._gate.close()
        raise LeadershipLost("the Lease could not be renewed in time, or another process holds it")

    async def attempt(self) -> bool:
        """Take or renew once; True when the Lease is ours now. API errors are logged and mean: not this time."""
        try:
            return await self._attempt()
        except KubeError as error:
            self._seen = None if isinstance(error, KubeConflict) and self._is_mine(self._seen) else self._seen
            log.warning("lease not written", extra={"pairs": {"error": str(error)}})
            return False

    async def _attempt(self) -> bool:
        seen = self._seen
        if seen is None or not self._is_mine(seen):
            try:
                seen = self._look(await self._store.get_lease(self._namespace, self._name))
            except KubeNotFound:
                return await self._create()
        if not self._is_mine(seen):
            if self._gate.is_open:
                self._gate.close()
            if seen.holder and self._clock.monotonic() - seen.at < seen.duration_seconds:
                return False
        sent_at = self._clock.monotonic()
        stored = await self._store.replace_lease(self._namespace, self._name, self._record(seen))
        self._won(stored, sent_at)
        return True

    async def _create(self) -> bool:
        sent_at = self._clock.monotonic()
        stored = await self._store.create_lease(self._namespace, self._record(None))
        self._won(stored, sent_at)
        return True

    async def release(self) -> None:
        """Give the Lease back, so that another takes over at once. The gate is closed first."""
        self._gate.close()
        if self._seen is None or not self._is_mine(self._seen):
            return
        body = self._record(self._seen)
        body["spec"]["holderIdentity"] = ""
        try:
            await self._store.replace_lease(self._namespace, self._name, body)
        except KubeError as error:
            log.warning("lease not released", extra={"pairs": {"error": str(error)}})

    def _wait_seconds(self) -> float:
        """Until the next try: spread, but not past the moment at which the present holder's time is up."""
        wait = self._settings.retry_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - spread, not a secret
        if self._seen is None:
            return wait
        return max(0.01, min(wait, self._seen.at + self._seen.duration_seconds - self._clock.monotonic()))

    def _look(self, body: Json) -> _Seen:
        """Return the record with the time when this version of it was first seen here."""
        fresh = _Seen(body, self._clock.monotonic())
        if self._seen is None or self._seen.version != fresh.version:
            self._seen = fresh
        return self._seen

    def _won(self, stored: Json, sent_at: float) -> None:
        self._seen = _Seen(stored, sent_at)
        self._gate.open_until(sent_at + self._settings.renew_deadline_seconds)

    def _is_mine(self, seen: _Seen | None) -> bool:
        return seen is not None and seen.holder == self._identity

    def _record(self, before: _Seen | None) -> Json:
        now = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: Json = dict((before.body.get("spec") or {}) if before else {})
        if not self._is_mine(before):
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if before else 0)
        spec["holderIdentity"] = self._identity
        spec["leaseDurationSeconds"] = math.ceil(self._settings.duration_seconds)
        spec["renewTime"] = now
        metadata: Json = {"name": self._name, "namespace": self._namespace}
        if before is not None:
            metadata["resourceVersion"] = before.version
        return {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
