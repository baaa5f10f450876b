"""Bring one node's NodeTuning to what all policies together ask for: composed anew, written where it differs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError

from trimtab_api.base import API_VERSION
from trimtab_api.node_tuning import EngineEntry, NodeTuningSpec
from trimtab_operator.actuation.execute import Hands
from trimtab_operator.errors import KubeNotFound
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import NODE_TUNINGS, NODES, PODS
from trimtab_operator.trial.node_spec import node_spec

AUTHORITY_ANNOTATION: Final = "trimtab.dev/ca"
LABELS: Final = {"app.kubernetes.io/managed-by": "trimtab"}

log = logging.getLogger(__name__)

Outcome = Literal["same", "written", "withheld", "waiting", "no node"]


@dataclass(frozen=True)
class NodeTuner:
    """`authority` answers the hash of the authority that signs agents' certificates now; None while not known.

    `namespaces` are those that this operator watches, all when empty: entries of others are another installation's.
    """

    hands: Hands
    authority: Callable[[], str | None]
    namespaces: tuple[str, ...] = ()

    async def tune(self, node: str) -> Outcome:
        """Compose and write one node's NodeTuning.

        Raises:
            KubeError, LeadershipLost: it was not written; it is looked at again.
        """
        kube, board = self.hands.kube, self.hands.board
        stored = await _stored(kube, node)
        existing = _entries(stored)
        asked, complete = board.asked(node), board.complete
        known = {entry.pod_uid for entry in asked}
        ours = [entry for entry in existing if self._is_watched(entry)]
        others = [entry for entry in existing if not self._is_watched(entry)]
        orphans = [entry for entry in ours if entry.pod_uid not in known]
        living = await _living(kube, orphans) if complete else frozenset[str]()
        wanted = node_spec((*asked, *others), ours, living, complete=complete)
        annotations = self._annotations(stored) if asked else {}
        if wanted == tuple(sorted(existing, key=lambda entry: entry.pod_uid)) and not annotations:
            return "same" if complete or not orphans else "waiting"
        if (await self.hands.switch.ceiling()).mode != "Apply":
            return "withheld"
        self.hands.fail_point.reach("before-act")
        outcome = await self._write(node, stored, wanted, annotations)
        self.hands.fail_point.reach("acted")
        return outcome

    def _is_watched(self, entry: EngineEntry) -> bool:
        return not self.namespaces or entry.namespace in self.namespaces

    def _annotations(self, stored: Json | None) -> dict[str, str]:
        """Return the annotation that tells agents of a new authority, where it differs and the object has entries."""
        authority = self.authority()
        held = ((stored or {}).get("metadata") or {}).get("annotations") or {}
        if stored is None or authority is None or held.get(AUTHORITY_ANNOTATION) == authority:
            return {}
        return {AUTHORITY_ANNOTATION: authority}

    async def _write(
        self, node: str, stored: Json | None, wanted: tuple[EngineEntry, ...], annotations: dict[str, str]
    ) -> Outcome:
        kube, spec = self.hands.kube, NodeTuningSpec(engines=wanted).to_body()
        if stored is not None:
            patch = {"spec": spec, **({"metadata": {"annotations": annotations}} if annotations else {})}
            await kube.patch(NODE_TUNINGS, None, node, patch, stored["metadata"]["resourceVersion"])
        else:
            try:
                owner = await kube.get(NODES, None, node)
            except KubeNotFound:
                return "no node"
            await kube.create(NODE_TUNINGS, None, self._body(node, owner, spec))
        log.info("node tuned", extra={"pairs": {"node": node, "engines": len(wanted)}})
        return "written"

    def _body(self, node: str, owner: Json, spec: Json) -> Json:
        authority = self.authority()
        reference = {"apiVersion": "v1", "kind": "Node", "name": node, "uid": owner["metadata"]["uid"]}
        return {
            "apiVersion": API_VERSION,
            "kind": NODE_TUNINGS.kind,
            "metadata": {
                "name": node,
                "labels": LABELS,
                "annotations": {AUTHORITY_ANNOTATION: authority} if authority else {},
                "ownerReferences": [reference],
            },
            "spec": spec,
        }


async def _stored(kube: Kube, node: str) -> Json | None:
    try:
        return await kube.get(NODE_TUNINGS, None, node)
    except KubeNotFound:
        return None


def _entries(stored: Json | None) -> tuple[EngineEntry, ...]:
    """Return the entries that this version can read; one that it cannot is somebody's edit and is written over."""
    found: list[EngineEntry] = []
    for entry in ((stored or {}).get("spec") or {}).get("engines") or ():
        try:
            found.append(EngineEntry.model_validate(entry))
        except ValidationError:
            log.warning("entry not read", extra={"pairs": {"pod_uid": str(entry.get("podUid"))[:64]}})
    return tuple(found)


async def _living(kube: Kube, entries: Iterable[EngineEntry]) -> frozenset[str]:
    """Return the uids of those pods that still exist; one that cannot be looked at counts as living."""
    checked = tuple(entries)
    alive = await asyncio.gather(*(_lives(kube, entry) for entry in checked))
    return frozenset(entry.pod_uid for entry, lives in zip(checked, alive, strict=True) if lives)


async def _lives(kube: Kube, entry: EngineEntry) -> bool:
    try:
        pod = await kube.get(PODS, entry.namespace, entry.pod)
    except KubeNotFound:
        return False
    return bool(pod["metadata"]["uid"] == entry.pod_uid)
