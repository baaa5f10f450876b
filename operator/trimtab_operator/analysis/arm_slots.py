"""Sums and means of an arm by slot. A slot counts for a pod only where every signal that is asked for has a value."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import TypeVar

from trimtab_operator.analysis.statistics import Shares
from trimtab_operator.model import histogram
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.signals import LARGEST, Buckets, Distribution, Signal, SignalState

Value = TypeVar("Value")


def by_slot(arms: Arms, pod: str, signal: Signal) -> dict[int, float]:
    """Return a pod's values by number of the slot; what is no number, or below 0, is no value."""
    found = arms.slots.get(signal, {}).get(pod, ())
    return {round(each.at / arms.slot_seconds): each.value for each in found if 0.0 <= each.value <= LARGEST}


def over_arm(arms: Arms, pods: tuple[str, ...], signals: tuple[Signal, ...]) -> dict[int, tuple[float, ...]]:
    """Return by slot the sums of these signals over the pods that have all of them."""
    sums: dict[int, tuple[float, ...]] = {}
    for pod in pods:
        tables = [by_slot(arms, pod, signal) for signal in signals]
        for slot in set.intersection(*(set(table) for table in tables)):
            found, before = [table[slot] for table in tables], sums.get(slot)
            sums[slot] = tuple(found if before is None else map(operator.add, before, found))
    return sums


def within(by_number: Mapping[int, Value], arms: Arms, start: float, end: float) -> tuple[Value, ...]:
    """Return what the slots hold that lie whole between two times (unix seconds), oldest first."""
    length = arms.slot_seconds
    numbers = (slot for slot in sorted(by_number) if (slot - 1) * length >= start and slot * length <= end)
    return tuple(by_number[slot] for slot in numbers)


def total(arms: Arms, pods: tuple[str, ...], signal: Signal, start: float, end: float) -> float:
    """Add up a rate over an arm and the slots between two times: a count."""
    sums = within(over_arm(arms, pods, (signal,)), arms, start, end)
    return math.fsum(value for (value,) in sums) * arms.slot_seconds


def values(arms: Arms, pods: tuple[str, ...], signal: Signal, start: float, end: float) -> tuple[float, ...]:
    """Return every value of an arm's pods between two times."""
    return tuple(value for pod in pods for value in within(by_slot(arms, pod, signal), arms, start, end))


def mean(arms: Arms, pods: tuple[str, ...], signal: Signal, start: float, end: float) -> float | None:
    """Return the mean over an arm's pods and slots between two times; None without data."""
    found = values(arms, pods, signal, start, end)
    return fmean(found) if found else None


def requests_of(distribution: Distribution | None, pods: tuple[str, ...]) -> Buckets | None:
    """Merge a histogram over an arm; None without data or without requests."""
    if distribution is None or distribution.state not in (SignalState.OK, SignalState.PARTIAL):
        return None
    parts = (distribution.by_pod[pod] for pod in pods if pod in distribution.by_pod)
    merged = histogram.merge(part for part in parts if all(0.0 <= each <= LARGEST for each in part.cumulative))
    return merged if merged is not None and histogram.count(merged) > 0.0 else None


def bad_shares(arms: Arms, distribution: Distribution | None, bad: Callable[[Buckets], float]) -> Shares | None:
    """Count the requests of both arms, and by `bad` those that count against them; None without data of both."""
    canary, stable = (requests_of(distribution, pods) for pods in (arms.canary, arms.stable))
    if canary is None or stable is None:
        return None
    return Shares((bad(canary), bad(stable)), (histogram.count(canary), histogram.count(stable)))
