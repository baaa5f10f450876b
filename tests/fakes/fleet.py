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
    """Settings in force by pod uid.

    `refuses` says why the engines would not take a value of a knob; `words` are what they declare for their choices.
    A format is `searches_seconds` under way before it is in force. `figures` are what engines tell of a value that they
    have compared in shadow; those of an older version tell none.
    """

    kube: FakeKube
    started: dict[str, Any] = field(default_factory=lambda: dict(STARTED))
    refuses: dict[tuple[str, Any], str] = field(default_factory=dict)
    figures: dict[tuple[str, Any], dict[str, Any]] = field(default_factory=dict)
    words: dict[str, list[str]] = field(default_factory=dict)
    searches_seconds: float = 0.0
    asked_at: dict[tuple[str, str], float] = field(default_factory=dict)
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
        uid = self.kube.uid(PODS, pod)
        earlier = [settings for changed, settings in self.changes.get(uid, []) if changed <= at]
        return earlier[-1] if earlier else self.started

    def take_back(self, knob: str, value: str, instead: str, why: str) -> None:
        """Engines that run a value of a knob go back to another by themselves, and refuse it from now on."""
        self.refuses[knob, value] = why
        for uid, settings in self.applied.items():
            if settings.get(knob) == value:
                self.applied[uid] = {**settings, knob: instead}
                self.changes.setdefault(uid, []).append((self.kube.now, self.applied[uid]))

    def _report(self, entry: dict[str, Any]) -> dict[str, Any]:
        uid, wanted = entry["podUid"], entry["settings"]
        refused = [
            {"setting": knob, "value": str(value), "reason": self.refuses[knob, value]}
            for knob, value in wanted.items()
            if (knob, value) in self.refuses
        ]
        pending = [] if refused else self._pending(uid, wanted)
        wanted = wanted | {"quantization": "None"} if pending else wanted
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
            "pending": pending,
            "shadowed": [] if pending else self._shadowed(wanted),
            "knobs": [{"setting": knob, "allowed": words, "cost": "clone"} for knob, words in self.words.items()],
            "at": stamp(self.kube.now),
            "conditions": [
                {"type": "Attached", "status": "True", "reason": "Attached", "lastTransitionTime": stamp(self.kube.now)}
            ],
        }

    def _shadowed(self, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        told = [(knob, value) for knob, value in wanted.items() if (knob, value) in self.figures]
        return [{"setting": knob, "value": value, **self.figures[knob, value]} for knob, value in told]

    def _pending(self, uid: str, wanted: dict[str, Any]) -> list[dict[str, str]]:
        """A format that this engine still searches."""
        value = wanted.get("quantization", "None")
        since = self.asked_at.setdefault((uid, value), self.kube.now)
        if value == "None" or self.kube.now >= since + self.searches_seconds:
            return []
        return [{"setting": "quantization", "value": value, "phase": "Searching"}]
