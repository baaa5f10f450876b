"""What Prometheus would show of a simulated fleet: counters and histograms with vLLM's buckets, seen by scrapes.

Rates span four scrapes, as the operator reads them; a scrape may be lost.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from trimtab_operator.model.arrays import Floats
from trimtab_operator.model.signals import Buckets, Distribution, Point, Reading, Series, Signal, SignalState
from trimtab_replay.answers import Answers
from trimtab_replay.fleet import Fleet, SimulatedPod
from trimtab_replay.vllm_buckets import BOUNDS

WINDOW_SCRAPES = 4
MOST_POINTS = 120
MEANS = {
    Signal.LATENCY_SECONDS: Signal.LATENCY_MEAN_SECONDS,
    Signal.TIME_TO_FIRST_TOKEN_SECONDS: Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS,
    Signal.INTER_TOKEN_LATENCY_SECONDS: Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS,
}
AVERAGED = {Signal.KV_CACHE_USED_RATIO, *MEANS.values()}
GAUGES = (Signal.QUEUE_REQUESTS, Signal.RUNNING_REQUESTS, Signal.KV_CACHE_USED_RATIO)


@dataclass(frozen=True)
class Sample:
    """One scrape of one pod: what it counted so far (`totals`: the sums of histograms, seconds), and how it stands."""

    at: float
    finished: float
    counts: dict[Signal, Floats]
    totals: dict[Signal, float]
    gauges: dict[Signal, float]


class Scrapes:
    """Counts what pods answer, and remembers what scrapes saw of it for as long as is asked for."""

    def __init__(
        self, interval_seconds: float, lookback_seconds: float, loss: float, dice: np.random.Generator
    ) -> None:
        self.interval_seconds = interval_seconds
        self._lookback = lookback_seconds
        self._loss = loss
        self._dice = dice
        self._counted = 0
        self._finished = np.zeros(0)
        self._counts = {signal: np.zeros((0, len(bounds))) for signal, bounds in BOUNDS.items()}
        self._totals = {signal: np.zeros(0) for signal in BOUNDS}
        self._samples: dict[str, deque[Sample]] = {}
        self._points: defaultdict[Signal, deque[Point]] = defaultdict(deque)
        steps = math.ceil(lookback_seconds / interval_seconds / MOST_POINTS)
        self._point_scrapes = max(1, steps)
        self._scraped = 0

    def scrape(self, fleet: Fleet) -> None:
        """Look at every pod that serves or drains, and keep a point of each series."""
        self._count(fleet)
        for pod in fleet.pods:
            if pod.ready_at is None or self._dice.random() < self._loss:
                continue
            counts = {signal: np.cumsum(each[pod.row]) for signal, each in self._counts.items()}
            totals = {signal: float(each[pod.row]) for signal, each in self._totals.items()}
            seen = self._samples.setdefault(pod.name, deque())
            seen.append(Sample(fleet.now, float(self._finished[pod.row]), counts, totals, _gauges(fleet, pod)))
            while seen[0].at < fleet.now - self._lookback - self.interval_seconds:
                seen.popleft()
        living = {pod.name for pod in fleet.pods}
        self._samples = {name: seen for name, seen in self._samples.items() if name in living}
        self._scraped += 1
        if self._scraped % self._point_scrapes == 0:
            self._note(fleet)

    def _count(self, fleet: Fleet) -> None:
        """Count what was answered since the last scrape."""
        rows = fleet.rows
        self._finished = _longer(self._finished, rows)
        found = fleet.answers(self._counted)
        self._counted = fleet.ended
        np.add.at(self._finished, found.pod, 1.0)
        for signal, (seconds, weights) in _durations(found).items():
            self._counts[signal] = _longer(self._counts[signal], rows)
            np.add.at(self._counts[signal], (found.pod, np.searchsorted(BOUNDS[signal], seconds)), weights)
            self._totals[signal] = _longer(self._totals[signal], rows)
            np.add.at(self._totals[signal], found.pod, seconds * weights)

    def readings(self, fleet: Fleet) -> dict[Signal, Reading]:
        """Return rates and gauges by pod, as they stand now."""
        rates = {name: rate for name in self._serving(fleet) if (rate := self._rate(name, fleet.now)) is not None}
        found = {
            Signal.REQUESTS_PER_SECOND: rates,
            Signal.ERRORS_PER_SECOND: dict.fromkeys(rates, 0.0),
            **{
                signal: {name: self._samples[name][-1].gauges[signal] for name in self._serving(fleet)}
                for signal in GAUGES
            },
            **self._means(fleet),
        }
        return {
            signal: Reading(
                signal, _state(by_pod), f"simulated({signal})", self._window, self._newest(by_pod), dict(by_pod)
            )
            for signal, by_pod in found.items()
        }

    def _means(self, fleet: Fleet) -> dict[Signal, dict[str, float]]:
        """Return what histograms observed in the mean, of the pods that observed something."""
        both = {name: ends for name in self._serving(fleet) if (ends := self._ends(name, fleet.now, self._window))}
        return {
            mean: {
                name: (last.totals[signal] - first.totals[signal]) / observed
                for name, (first, last) in both.items()
                if (observed := last.counts[signal][-1] - first.counts[signal][-1]) > 0.0
            }
            for signal, mean in MEANS.items()
        }

    def distributions(self, fleet: Fleet, seconds: float | None = None) -> dict[Signal, Distribution]:
        """Return what histograms grew by within so many seconds, extrapolated to them as Prometheus does.

        Where nothing is said it is the window of the rates.
        """
        span = self._window if seconds is None else seconds
        both = {name: self._ends(name, fleet.now, span) for name in self._serving(fleet)}
        found: dict[Signal, Distribution] = {}
        for signal, bounds in BOUNDS.items():
            by_pod = {name: Buckets(bounds, _growth(*ends, signal, span)) for name, ends in both.items() if ends}
            newest = self._newest(by_pod)
            found[signal] = Distribution(signal, _state(by_pod), f"simulated({signal})", span, newest, by_pod)
        return found

    def history(self) -> dict[Signal, Series]:
        """Return the series of the whole fleet."""
        return {
            signal: Series(signal, SignalState.OK, f"simulated({signal})", tuple(points))
            for signal, points in self._points.items()
        }

    @property
    def _window(self) -> float:
        return WINDOW_SCRAPES * self.interval_seconds

    def _serving(self, fleet: Fleet) -> list[str]:
        return [pod.name for pod in fleet.pods if pod.serves and pod.name in self._samples]

    def _ends(self, name: str, now: float, seconds: float) -> tuple[Sample, Sample] | None:
        seen, start = self._samples[name], now - seconds - 0.5 * self.interval_seconds
        within = list(takewhile(lambda each: each.at >= start, reversed(seen)))
        return (within[-1], within[0]) if len(within) > 1 else None

    def _rate(self, name: str, now: float) -> float | None:
        ends = self._ends(name, now, self._window)
        return None if ends is None else (ends[1].finished - ends[0].finished) / (ends[1].at - ends[0].at)

    def _newest(self, by_pod: Iterable[str]) -> float | None:
        return max((self._samples[name][-1].at for name in by_pod), default=None)

    def _note(self, fleet: Fleet) -> None:
        readings = self.readings(fleet)
        for signal, reading in readings.items():
            values = list(reading.by_pod.values())
            if values:
                total = float(np.mean(values)) if signal in AVERAGED else float(sum(values))
                self._points[signal].append(Point(fleet.now, total, len(values)))
        for points in self._points.values():
            while points and points[0].at < fleet.now - self._lookback - self.interval_seconds:
                points.popleft()


def _growth(first: Sample, last: Sample, signal: Signal, seconds: float) -> tuple[float, ...]:
    whole = seconds / (last.at - first.at)
    return tuple((whole * (last.counts[signal] - first.counts[signal])).tolist())


def _gauges(fleet: Fleet, pod: SimulatedPod) -> dict[Signal, float]:
    return {
        Signal.QUEUE_REQUESTS: float(fleet.waiting(pod)),
        Signal.RUNNING_REQUESTS: float(fleet.running(pod)),
        Signal.KV_CACHE_USED_RATIO: fleet.kv_ratio(pod),
    }


def _durations(found: Answers) -> dict[Signal, tuple[Floats, Floats]]:
    """Return what each histogram observes, and how often."""
    once = np.ones(len(found))
    return {
        Signal.LATENCY_SECONDS: (found.latency_seconds, once),
        Signal.QUEUE_SECONDS: (found.queue_seconds, once),
        Signal.TIME_TO_FIRST_TOKEN_SECONDS: (found.ttft_seconds, once),
        Signal.INTER_TOKEN_LATENCY_SECONDS: (found.tpot_seconds, found.output_tokens - 1.0),
    }


def _longer(values: Floats, rows: int) -> Floats:
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]))])


def _state(by_pod: object) -> SignalState:
    return SignalState.OK if by_pod else SignalState.NO_DATA
