"""Engines and their nodes' agents, played on the API server in memory: they take what their entry asks, and say so."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from fakes.kube import FakeKube, stamp

from trimtab_api.wire import settings_hash
from trimtab_operator.kube.resources import NODE_TUNINGS, PODS

STARTED: dict[str, Any] = {"maxBatchSize": 1, "maxQueueDelay": "0ms", "cacheMemory": "0"}


@dataclass
class Fleet:
    """Settings in force by pod uid; `refuses` names values that the engines would not take (knob, value)."""

    kube: FakeKube
    started: dict[str, Any] = field(default_factory=lambda: dict(STARTED))
    refuses: set[tuple[str, Any]] = field(default_factory=set)
    away: bool = False
    applied: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: dict[str, list[tuple[float, dict[str, Any]]]] = field(default_factory=dict)

    def answer(self) -> None:
        """Every agent at work: each entry is put in force and reported, unless the agents are away."""
        if self.away:
            return
        for body in self.kube.all(NODE_TUNINGS):
            engines = [self._report(entry) for entry in body["spec"].get("engines", [])]
            status = {"observedGeneration": body["metadata"]["generation"], "engines": engines}
            self.kube.edit(NODE_TUNINGS, None, body["metadata"]["name"], {"status": status})

    def settings(self, pod: str, at: float = math.inf) -> dict[str, Any]:
        """What the engine of a pod (by name) runs with now, or ran with at a time: the past does not change."""
        uid = next(body["metadata"]["uid"] for body in self.kube.all(PODS) if body["metadata"]["name"] == pod)
        earlier = [settings for changed, settings in self.changes.get(uid, []) if changed <= at]
        return earlier[-1] if earlier else self.started

    def _report(self, entry: dict[str, Any]) -> dict[str, Any]:
        uid, wanted = entry["podUid"], entry["settings"]
        refused = [
            {"setting": knob, "value": str(value), "reason": "the test says so"}
            for knob, value in wanted.items()
            if (knob, value) in self.refuses
        ]
        hash_before = settings_hash({}) if uid not in self.applied else settings_hash(self.applied[uid])
        if not refused:
            if self.applied.get(uid, self.started) != {**self.started, **wanted}:
                self.changes.setdefault(uid, []).append((self.kube.now, {**self.started, **wanted}))
            self.applied[uid] = {**self.started, **wanted}
            hash_before = settings_hash(wanted)
        return {
            "podUid": uid,
            "applied": self.applied.get(uid, self.started),
            "appliedHash": hash_before,
            "refused": refused,
            "at": stamp(self.kube.now),
            "conditions": [
                {"type": "Attached", "status": "True", "reason": "Attached", "lastTransitionTime": stamp(self.kube.now)}
            ],
        }
