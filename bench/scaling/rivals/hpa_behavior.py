"""How fast an HPA follows its metric: windows against flapping, and how many pods may come or go at a time.

Source: pkg/controller/podautoscaler/horizontal.go of Kubernetes 1.36.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
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
    """Rules of one direction; of several policies the one with the largest change counts, or the smallest, or none."""

    stabilization_seconds: float
    policies: tuple[Policy, ...]
    select: Literal["Max", "Min", "Disabled"] = "Max"


@dataclass(frozen=True)
class Behavior:
    """Rules of both directions."""

    up: Rules
    down: Rules


@dataclass(frozen=True)
class Bounds:
    """`minReplicas` and `maxReplicas`."""

    least: int = 1
    most: int = 2**31 - 1

    def clamp(self, replicas: int) -> int:
        """Return the nearest count within."""
        return min(max(replicas, self.least), self.most)


class Pace(ABC):
    """Takes what the metric recommends to what may be asked for now. The first count it meets is a recommendation."""

    def __init__(self, bounds: Bounds, window_seconds: float) -> None:
        self._bounds = bounds
        self._recommended = Window[int](window_seconds)
        self._began = False

    def next(self, now: float, current: int, recommended: int | None) -> int:
        """Return the replicas from now on, where `current` are asked for; None: the metric recommends nothing.

        A fleet of none was turned off by somebody and stays off.
        """
        if not self._began:
            self._recommended.record(now, current)
            self._began = True
        if not current:
            return 0
        within = self._bounds.clamp(current)
        return within if within != current or recommended is None else self._allowed(now, current, recommended)

    @abstractmethod
    def _allowed(self, now: float, current: int, recommended: int) -> int: ...


class PlainPace(Pace):
    """Without a `behavior`: up to twice or four, and to the highest recommendation of late."""

    def __init__(self, down_seconds: float, bounds: Bounds = Bounds()) -> None:
        super().__init__(bounds, down_seconds)
        self._down_seconds = down_seconds

    def _allowed(self, now: float, current: int, recommended: int) -> int:
        highest = max([recommended, *self._recommended.since(now - self._down_seconds)])
        self._recommended.record(now, recommended)
        return min(self._bounds.clamp(highest), max(2 * current, 4))


class BehaviorPace(Pace):
    """By the rules of a `behavior`."""

    def __init__(self, behavior: Behavior, bounds: Bounds = Bounds()) -> None:
        both = (behavior.up, behavior.down)
        super().__init__(bounds, max(rules.stabilization_seconds for rules in both))
        self._behavior = behavior
        self._changed = Window[int](max(policy.period_seconds for rules in both for policy in rules.policies))

    def next(self, now: float, current: int, recommended: int | None) -> int:
        """Return the replicas from now on, and remember the change."""
        replicas = super().next(now, current, recommended)
        if replicas != current:
            self._changed.record(now, replicas - current)
        return replicas

    def _allowed(self, now: float, current: int, recommended: int) -> int:
        """Return the count nearest to the current one between the lowest and the highest of late, as far as allowed."""
        up, down = self._behavior.up, self._behavior.down
        lowest = min([recommended, *self._recommended.after(now - up.stabilization_seconds)])
        highest = max([recommended, *self._recommended.after(now - down.stabilization_seconds)])
        self._recommended.record(now, recommended)
        wanted = min(max(current, lowest), highest)
        if wanted > current:
            return min(wanted, max(self._limit(now, current, up, +1), current), self._bounds.most)
        if wanted < current:
            return max(wanted, min(self._limit(now, current, down, -1), current), self._bounds.least)
        return wanted

    def _limit(self, now: float, current: int, rules: Rules, sign: int) -> int:
        """Return how far one direction may go. `sign` is +1 for up and -1 for down."""
        if rules.select == "Disabled":
            return current
        starts = [(current - sum(self._changed.after(now - each.period_seconds)), each) for each in rules.policies]
        limits = [_far(start, policy, sign) for start, policy in starts]
        return max(limits) if (rules.select == "Max") == (sign > 0) else min(limits)


def _far(start: int, policy: Policy, sign: int) -> int:
    """Return how far a policy lets a count go that was `start` when its period began: up or towards zero."""
    if policy.kind == "Pods":
        return start + sign * policy.value
    changed = start * (1 + sign * policy.value / 100)
    return math.ceil(changed) if sign > 0 else int(changed)


def pace_of(up_seconds: float | None, down_seconds: float) -> Pace:
    """Return the pace with these stabilization windows and the default policies; None: without a `behavior`."""
    if up_seconds is None:
        return PlainPace(down_seconds)
    return BehaviorPace(
        Behavior(
            up=Rules(up_seconds, (Policy("Percent", 100, 15.0), Policy("Pods", 4, 15.0))),
            down=Rules(down_seconds, (Policy("Percent", 100, 15.0),)),
        )
    )
