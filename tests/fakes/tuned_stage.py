"""A stage with two attached engines that a policy may tune."""

from __future__ import annotations

import math
from typing import Any

from fakes.world import NAMESPACE, Stage

from trimtab_operator.kube.resources import DEPLOYMENTS, NODE_TUNINGS, PODS, TRIALS
from trimtab_operator.model.signals import Signal

TRIAL = {"window": "2m", "maxWindow": "8m", "minRequests": 100, "maxTrials": 1}
KNOBS = {"batching": {"maxBatchSize": {"min": 1, "max": 8}}}


class Tuned(Stage):
    """Two attached replicas near saturation; a larger batch, or weights of 8 bits, make an answer cheaper by `gain`.

    Below 1 the change makes it dearer. Where inputs repeat, a cache does what a larger batch does.
    """

    gain: float = 1.5
    inputs_repeat: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.load.requests_per_second = 17.0
        self.prometheus.per_pod[Signal.BUSY_RATIO] = self._busy_of
        self.deploy(replicas=None, attached=True, operation="Update")
        self.kube.edit(DEPLOYMENTS, NAMESPACE, "llama", {"spec": {"replicas": 2}})
        self.kube.now = self.clock.now() - 3600
        self.kube.settle(NAMESPACE, "llama")
        self.kube.now = self.clock.now()

    def tune(self, **spec: Any) -> None:
        self.apply_policy(**{"scaling": None, "knobs": KNOBS, "trial": TRIAL, **spec})

    def _busy_of(self, pod: str, at: float) -> float:
        wobble = 0.01 * math.sin(at / 7.0 + len(pod) + sum(map(ord, pod)))
        return min(1.0, self._share(at) / self.load.capacity / self.cheaper(pod, at)) * (1.0 + wobble)

    def cheaper(self, pod: str, at: float = math.inf) -> float:
        """By what factor the settings of a pod (by name) make an answer cheaper, now or at a time."""
        settings = self.fleet.settings(pod, at)
        caches = self.inputs_repeat and settings["cacheMemory"] != "0"
        changed = settings["maxBatchSize"] > 1 or settings.get("quantization", "None") != "None" or caches
        return self.gain if changed else 1.0

    def trials(self) -> list[dict[str, Any]]:
        return sorted(self.kube.all(TRIALS), key=lambda body: body["metadata"]["name"])

    def trials_under_way(self) -> list[dict[str, Any]]:
        return [body for body in self.trials() if (body.get("status") or {}).get("phase") != "Finished"]

    def sizes(self) -> list[int]:
        names = [body["metadata"]["name"] for body in self.kube.all(PODS)]
        return sorted(self.fleet.settings(name)["maxBatchSize"] for name in names)

    def entries(self) -> list[dict[str, Any]]:
        return [entry for body in self.kube.all(NODE_TUNINGS) for entry in body["spec"].get("engines", [])]

    def ledger(self) -> list[str]:
        return [entry["what"] for entry in self.status().get("history", [])]

    def surge_stands(self) -> bool:
        """Whether a replica that was added for a trial stands, and no trial was made since."""
        changes = [entry for entry in self.status().get("history", []) if entry["what"] in ("Scaled", "ForeignEdit")]
        if not changes or not changes[-1]["why"].startswith("Surge:"):
            return False
        return all(trial["metadata"]["creationTimestamp"] < changes[-1]["at"] for trial in self.trials())

    async def run_to(self, phase: str, seconds: float = 1800.0) -> dict[str, Any]:
        """Run until the newest trial stands in this phase."""
        for _ in range(int(seconds)):
            await self.run(1.0)
            found = self.trials()
            if found and (found[-1].get("status") or {}).get("phase") == phase:
                return found[-1]
        raise AssertionError(f"no trial came to {phase}: {self.trials()} {self.status()}")
