"""The certificates to trust, as a ConfigMap in each namespace whose policies tune engines."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from trimtab_api import wire
from trimtab_operator.clock import Clock
from trimtab_operator.controllers.trust.secret import OURS, is_ours
from trimtab_operator.errors import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import CONFIG_MAPS

RECHECK_SECONDS: Final = 60.0
"""A ConfigMap that somebody changed or removed is put right within this time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Seen:
    """What a namespace got, and when (monotonic seconds). `bundle` is None where it cannot have it: that was said."""

    bundle: str | None
    at: float


class Publication:
    """Writes only what differs, and only ConfigMaps of our own."""

    def __init__(self, kube: Kube, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    async def publish(self, bundle: str, namespaces: Iterable[str]) -> bool:
        """Bring `bundle` into every one of `namespaces`; True when each that can have it has it.

        A namespace that refuses for good (no right, gone, a foreign ConfigMap of that name) holds nobody up.
        Raises LeadershipLost.
        """
        wanted = sorted(set(namespaces))
        self._seen = {namespace: self._seen[namespace] for namespace in wanted if namespace in self._seen}
        reached = [await self._reach(namespace, bundle) for namespace in wanted]
        return all(reached)

    async def _reach(self, namespace: str, bundle: str) -> bool:
        before = self._seen.get(namespace)
        if before and before.bundle in {None, bundle} and self._clock.monotonic() - before.at < RECHECK_SECONDS:
            return True
        try:
            refusal = await self._bring(namespace, bundle)
        except (KubeUnavailable, KubeConflict) as error:
            log.warning("authority not published", extra={"pairs": {"namespace": namespace, "error": str(error)}})
            self._seen.pop(namespace, None)
            return False
        except KubeError as error:
            refusal = str(error)
        if refusal is not None and (before is None or before.bundle is not None):
            log.warning("authority cannot be published", extra={"pairs": {"namespace": namespace, "why": refusal}})
        self._seen[namespace] = _Seen(bundle if refusal is None else None, self._clock.monotonic())
        return True

    async def _bring(self, namespace: str, bundle: str) -> str | None:
        """Create or patch where needed; answers why not, where the ConfigMap is somebody else's."""
        data = {wire.CA_KEY: bundle}
        try:
            stored = await self._kube.get(CONFIG_MAPS, namespace, wire.CA_CONFIG_MAP)
        except KubeNotFound:
            await self._kube.create(CONFIG_MAPS, namespace, _body(namespace, data))
            log.info("authority published", extra={"pairs": {"namespace": namespace}})
            return None
        if not is_ours(stored):
            return (
                f"the ConfigMap {wire.CA_CONFIG_MAP} there is not ours: it lacks app.kubernetes.io/managed-by=trimtab"
            )
        if (stored.get("data") or {}).get(wire.CA_KEY) != bundle:
            version = stored["metadata"]["resourceVersion"]
            await self._kube.patch(CONFIG_MAPS, namespace, wire.CA_CONFIG_MAP, {"data": data}, version)
            log.info("authority published", extra={"pairs": {"namespace": namespace}})
        return None


def _body(namespace: str, data: dict[str, str]) -> Json:
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": wire.CA_CONFIG_MAP, "namespace": namespace, "labels": dict(OURS)},
        "data": data,
    }
