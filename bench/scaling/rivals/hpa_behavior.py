"""`spec.behavior` of a HorizontalPodAutoscaler: windows against flapping, and how many pods may come or go at a time.

Source: pkg/controller/podautoscaler/horizontal.go of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bench.scaling.rivals.windows import Window


@dataclass(frozen=True)
class Policy:
    """How much may change within a period: so many pods, or per cent of the replicas at its start."""

    kind: Literal["Pods", "Percent"]
    value: int
    period_seconds: float


@dataclass(frozen=True)
class Rules:
    """Rules of one direction; of several policies the one that allows most counts."""

    stabilization_seconds: float
    policies: tuple[Policy, ...]


@dataclass(frozen=True)
class Behavior:
    """Rules of both directions."""

    up: Rules
    down: Rules


def behavior_of(up_stabilization_seconds: float, down_stabilization_seconds: float) -> Behavior:
    """Return Kubernetes' default policies with these windows."""
    return Behavior(
        up=Rules(up_stabilization_seconds, (Policy("Percent", 100, 15.0), Policy("Pods", 4, 15.0))),
        down=Rules(down_stabilization_seconds, (Policy("Percent", 100, 15.0),)),
    )


class Pace:
    """Takes what the metric asks for to what may be asked for now."""

    def __init__(self, behavior: Behavior) -> None:
        self._behavior = behavior
        both = (behavior.up, behavior.down)
        self._recommended = Window[int](max(rules.stabilization_seconds for rules in both))
        self._changed = Window[int](max(policy.period_seconds for rules in both for policy in rules.policies))

    def next(self, now: float, current: int, recommended: int) -> int:
        """Return the replicas from now on, where `current` are asked for and a metric recommends others."""
        allowed = self._limited(now, current, self._stabilized(now, current, recommended))
        if allowed != current:
            self._changed.record(now, allowed - current)
        return allowed

    def _stabilized(self, now: float, current: int, recommended: int) -> int:
        """Return the count nearest to the current one that lies between the lowest and the highest of late."""
        up, down = self._behavior.up.stabilization_seconds, self._behavior.down.stabilization_seconds
        lowest = min([recommended, *self._recommended.after(now - up)])
        highest = max([recommended, *self._recommended.after(now - down)])
        self._recommended.record(now, recommended)
        return min(max(current, lowest), highest)

    def _limited(self, now: float, current: int, wanted: int) -> int:
        if wanted > current:
            most = max(self._most(now, current, policy) for policy in self._behavior.up.policies)
            return min(wanted, max(most, current))
        if wanted < current:
            least = min(self._least(now, current, policy) for policy in self._behavior.down.policies)
            return max(wanted, min(least, current), 1)
        return wanted

    def _most(self, now: float, current: int, policy: Policy) -> int:
        start = self._start(now, current, policy)
        return start + policy.value if policy.kind == "Pods" else math.ceil(start * (1 + policy.value / 100))

    def _least(self, now: float, current: int, policy: Policy) -> int:
        start = self._start(now, current, policy)
        return start - policy.value if policy.kind == "Pods" else int(start * (1 - policy.value / 100))

    def _start(self, now: float, current: int, policy: Policy) -> int:
        """Return the replicas at the start of the policy's period."""
        return current - sum(self._changed.after(now - policy.period_seconds))
