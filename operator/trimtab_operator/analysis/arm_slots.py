"""Sums and means of an arm by slot. A slot counts for a pod only where every signal that is asked for has a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from trimtab_operator.model import histogram
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.series import LARGEST
from trimtab_operator.model.signals import Buckets, Distribution, Signal, SignalState


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
            before = sums.get(slot, (0.0,) * len(signals))
            sums[slot] = tuple(value + table[slot] for value, table in zip(before, tables, strict=True))
    return sums


def within(values: Mapping[int, float], arms: Arms, start: float, end: float) -> tuple[tuple[int, float], ...]:
    """Return the slots that lie whole between two times (unix seconds), oldest first."""
    length = arms.slot_seconds
    return tuple(
        (slot, values[slot]) for slot in sorted(values) if (slot - 1) * length >= start and slot * length <= end
    )


def total(arms: Arms, pods: tuple[str, ...], signal: Signal, start: float, end: float) -> float:
    """Add up a rate over an arm and the slots between two times: a count."""
    sums = {slot: value for slot, (value,) in over_arm(arms, pods, (signal,)).items()}
    return math.fsum(value for _, value in within(sums, arms, start, end)) * arms.slot_seconds


def values(arms: Arms, pods: tuple[str, ...], signal: Signal, start: float, end: float) -> tuple[float, ...]:
    """Return every value of an arm's pods between two times."""
    return tuple(value for pod in pods for _, value in within(by_slot(arms, pod, signal), arms, start, end))


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
