"""Both arms of a trial as Prometheus would show them, of simulated pods that differ as pods in production do.

Each pod is slower or faster than the others (5 %), gets more or less of the load (20 %), starts with a cold cache at
times, and varies from slot to slot as real windows do, resembling the slot before (.3). The minutes vary for all pods.
Requests arrive at random, engines count, and every 15 s a scrape reads the counts, unless it is lost.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter
from statistics import NormalDist

import numpy as np

from bench.verdicts.variation import Variation
from trimtab_operator.model.arms import Arms, SlotValue
from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.signals import Buckets, Distribution, Signal, SignalState
from trimtab_replay.vllm_buckets import BOUNDS

START = 1_800_000_000.0  # unix seconds, on the edge of a slot
SCRAPE_SECONDS, SLOT_SECONDS = 15.0, 60.0
WINDOW_SECONDS = 30.0  # of the recorded windows: what a pod does changes from one to the next
SCRAPES = round(WINDOW_SECONDS / SCRAPE_SECONDS)
LOST_RATIO = 0.02  # of the scrapes
OFFSET_SD = 0.05  # of the logarithm of a pod's cost
IMBALANCE = 0.2  # a pod's share of the load is so much more or less than fair, at most
NEIGHBOURS = 0.3  # correlation of a pod's windows
MINUTES_SD = 0.1  # of the logarithm of the whole load, from window to window
COLD_COST, COLD_SECONDS = 0.25, 120.0  # a cache that answers a fifth of the requests once it is warm
BATCHING = -0.3  # power by which the cost of an answer falls as load grows
BUSY, REQUESTS_PER_SECOND, ERROR_RATIO = 0.75, 10.0, 0.002  # of a pod
FIRST_TOKEN = (0.2, 0.5)  # median in seconds, standard deviation of the logarithm
_TABLE = np.linspace(-8.0, 8.0, 3201)
_NORMAL = np.array([NormalDist().cdf(float(each)) for each in _TABLE])


@dataclass(frozen=True)
class Fleet:
    """Pods (the first is the canary) by the logarithm of what an answer costs more than elsewhere, and their noise."""

    offsets: Floats
    variation: Variation


@dataclass(frozen=True)
class Course:
    """What happens in a trial: seconds from START; `cold` are pods with the time at which their caches were empty."""

    changed_at: float
    ends_at: float
    cost_ratio: float = 1.0  # of the canary's answers, from the change on
    late_ratio: float = 1.0  # of the canary's times to first token, from the change on
    error_ratio: float = ERROR_RATIO  # of the canary's answers, from the change on
    cold: tuple[tuple[int, float], ...] = ()


def a_fleet(random: np.random.Generator, pods: int, variation: Variation) -> Fleet:
    """Return pods that differ from each other."""
    return Fleet(random.normal(0.0, OFFSET_SD, pods), variation)


@dataclass(frozen=True)
class Played:
    """A trial that was simulated to its end, by pod and scrape, of which `arms` shows what was to be seen by a time."""

    arms_slots: dict[Signal, dict[str, tuple[SlotValue, ...]]]
    first_tokens: Floats  # by pod, slot and bucket, cumulated over slots and buckets

    def arms(self, changed_at: float, since: float, now: float, run_in_seconds: float = 0.0) -> Arms:
        """Return both arms at a time, with the histograms since the change had settled, and of before it came."""
        names = tuple(self.arms_slots[Signal.BUSY_RATIO])
        return Arms(
            slot_seconds=SLOT_SECONDS,
            canary=names[:1],
            stable=names[1:],
            slots={
                signal: {
                    pod: values[: bisect_right(values, now, key=attrgetter("at"))] for pod, values in by_pod.items()
                }
                for signal, by_pod in self.arms_slots.items()
            },
            distributions=self._distributions(names, since, now),
            since=since,
            run_in=self._distributions(names, changed_at - run_in_seconds, changed_at),
        )

    def _distributions(self, names: tuple[str, ...], start: float, end: float) -> dict[Signal, Distribution]:
        signal = Signal.TIME_TO_FIRST_TOKEN_SECONDS
        first, last = (max(0, math.floor((each - START) / WINDOW_SECONDS)) for each in (start, end))
        last = min(last, self.first_tokens.shape[1] - 1)
        if last <= first:
            return {}
        grown = self.first_tokens[:, last] - self.first_tokens[:, first]
        by_pod = {
            name: Buckets(BOUNDS[signal], tuple(map(float, each))) for name, each in zip(names, grown, strict=True)
        }
        return {signal: Distribution(signal, SignalState.OK, "", end - start, end, by_pod)}


def play(random: np.random.Generator, fleet: Fleet, course: Course) -> Played:
    """Simulate one trial from START to its end."""
    pods, windows = len(fleet.offsets), math.ceil(course.ends_at / SLOT_SECONDS) * round(SLOT_SECONDS / WINDOW_SECONDS)
    varied = fleet.variation.at(_ranks(random, pods, windows))
    minutes = np.exp(MINUTES_SD * _wandering(random, 1, windows, 0.8))
    shares = random.uniform(1.0 - IMBALANCE, 1.0 + IMBALANCE, (pods, 1))
    load = np.repeat(shares / shares.mean() * minutes, SCRAPES, axis=1)
    ends = SCRAPE_SECONDS * np.arange(1, windows * SCRAPES + 1)
    cost = np.exp(fleet.offsets)[:, None] * load**BATCHING * np.repeat(1.0 / varied[:, :, 0], SCRAPES, axis=1)
    changed = ends > course.changed_at
    cost[0, changed] *= course.cost_ratio
    for pod, emptied in course.cold:
        cost[pod] *= 1.0 + np.where(
            ends > emptied, COLD_COST * np.exp(-np.maximum(0.0, ends - emptied) / COLD_SECONDS), 0.0
        )
    offered = random.poisson(REQUESTS_PER_SECOND * SCRAPE_SECONDS * load).astype(float)
    busy = np.minimum(SCRAPE_SECONDS, offered * cost * BUSY / REQUESTS_PER_SECOND)
    failing = np.full(offered.shape, ERROR_RATIO)
    failing[0, changed] = course.error_ratio
    counted = {
        Signal.REQUESTS_PER_SECOND: offered,
        Signal.ERRORS_PER_SECOND: random.poisson(offered * failing).astype(float),
        Signal.BUSY_RATIO: busy,
    }
    medians = np.exp(fleet.offsets)[:, None] * varied[:, :, 1]
    medians[0, math.ceil(course.changed_at / WINDOW_SECONDS) :] *= course.late_ratio
    arrived = offered.reshape(pods, windows, SCRAPES).sum(axis=2)
    return Played(_scraped(random, counted), _first_tokens(random, arrived, medians))


def _wandering(random: np.random.Generator, rows: int, slots: int, neighbours: float) -> Floats:
    """Return standard normal numbers, each resembling the one before (first-order autoregression)."""
    found = random.normal(size=(rows, slots))
    for slot in range(1, slots):
        found[:, slot] = neighbours * found[:, slot - 1] + math.sqrt(1.0 - neighbours**2) * found[:, slot]
    return found


def _ranks(random: np.random.Generator, pods: int, slots: int) -> Floats:
    return np.asarray(np.interp(_wandering(random, pods, slots, NEIGHBOURS), _TABLE, _NORMAL))


def _scraped(
    random: np.random.Generator, counted: dict[Signal, Floats]
) -> dict[Signal, dict[str, tuple[SlotValue, ...]]]:
    """Return the rate in each slot from counters that are read at each scrape, at a moment of each pod's own.

    As PromQL's rate over a slot and a scrape: from the first to the last reading in it.
    """
    pods, scrapes = counted[Signal.BUSY_RATIO].shape
    found: dict[Signal, dict[str, tuple[SlotValue, ...]]] = {signal: {} for signal in counted}
    for pod in range(pods):
        read = np.arange(scrapes)[random.random(scrapes) >= LOST_RATIO]
        at = SCRAPE_SECONDS * (read + 1) - random.uniform(0.0, SCRAPE_SECONDS)
        edges = SLOT_SECONDS * np.arange(1, round(scrapes * SCRAPE_SECONDS / SLOT_SECONDS) + 1)
        last = np.searchsorted(at, edges, side="right") - 1
        first = np.searchsorted(at, edges - SLOT_SECONDS - SCRAPE_SECONDS, side="right")
        known = last > first
        last, first, edges = last[known], first[known], START + edges[known]
        for signal, counts in counted.items():
            total = np.cumsum(counts[pod])[read]
            rates = (total[last] - total[first]) / (at[last] - at[first])
            found[signal][f"pod-{pod}"] = tuple(
                SlotValue(float(edge), float(rate)) for edge, rate in zip(edges, rates, strict=True)
            )
    return found


def _first_tokens(random: np.random.Generator, arrived: Floats, medians: Floats) -> Floats:
    """Return vLLM's histogram of times to the first token, by pod, slot and bucket, counted since START."""
    median, spread = FIRST_TOKEN
    bounds = np.log(np.array(BOUNDS[Signal.TIME_TO_FIRST_TOKEN_SECONDS][:-1]))
    deviations = (bounds - np.log(median * medians)[:, :, None]) / spread
    below = np.concatenate([np.interp(deviations, _TABLE, _NORMAL), np.ones((*arrived.shape, 1))], axis=2)
    counts = random.poisson(arrived[:, :, None] * np.diff(below, axis=2, prepend=0.0))
    since = np.cumsum(np.cumsum(counts, axis=2), axis=1).astype(float)
    return np.concatenate([np.zeros((len(arrived), 1, since.shape[2])), since], axis=1)
