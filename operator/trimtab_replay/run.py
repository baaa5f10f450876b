"""A controller on a simulated fleet under a trace: arrivals, scrapes and ticks in their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from trimtab_replay.answers import Answers
from trimtab_replay.fleet import Fleet, FleetPlan
from trimtab_replay.scrape import Scrapes
from trimtab_replay.trace import Trace

EPOCH = 1_800_000_000.0
SCRAPE_SECONDS = 15.0


@dataclass(frozen=True)
class Wanted:
    """What a controller asks for: replicas (None: as they are) with its reason, and when it looks again, in seconds."""

    replicas: int | None
    reason: str
    again_seconds: float


class Controller(Protocol):
    """Anything that scales: it sees the fleet's pods, and of their load what scrapes show."""

    def tick(self, fleet: Fleet, scrapes: Scrapes) -> Wanted:
        """Look and decide."""
        ...


@dataclass(frozen=True)
class Scaling:
    """One change of the replicas, in seconds of the trace, with the controller's reason."""

    at: float
    before: int
    after: int
    reason: str


@dataclass
class Played:
    """What came of it. Times are seconds of the trace; those of answers are seconds since the epoch."""

    answers: Answers
    unserved: int = 0
    scalings: list[Scaling] = field(default_factory=list)
    replicas: list[tuple[float, int, int]] = field(default_factory=list)  # at, asked for, serving
    gpu_hours: float = 0.0


@dataclass(frozen=True)
class Start:
    """How a run begins: the fleet's plan and its first replicas, how far back series reach, and what is random.

    GPU time counts from `counted_from_seconds` of the trace on.
    """

    plan: FleetPlan
    replicas: int
    lookback_seconds: float
    seed: int = 0
    scrape_loss: float = 0.0
    counted_from_seconds: float = 0.0


class Run:
    """One run of one controller."""

    def __init__(self, controller: Controller, start: Start, trace: Trace) -> None:
        self.controller = controller
        self.fleet = Fleet(start.plan, start.replicas, trace, EPOCH)
        dice = np.random.default_rng(start.seed)
        self.scrapes = Scrapes(SCRAPE_SECONDS, start.lookback_seconds, start.scrape_loss, dice)
        self.played = Played(self.fleet.answers())
        self._seconds = trace.seconds
        self._counted_from = start.counted_from_seconds
        self._next_scrape = EPOCH + SCRAPE_SECONDS
        self._next_tick = EPOCH + SCRAPE_SECONDS

    def play(self) -> Played:
        """Play the trace, and go on until all is answered or as much time has passed again."""
        self._live(EPOCH + self._counted_from)
        before = self.fleet.gpu_seconds
        self._live(EPOCH + self._seconds)
        while self.fleet.unserved and self.fleet.now < EPOCH + 2.0 * self._seconds:
            self._live(self.fleet.now + SCRAPE_SECONDS)
        self.played.answers = self.fleet.answers()
        self.played.unserved = self.fleet.unserved
        self.played.gpu_hours = (self.fleet.gpu_seconds - before) / 3600.0
        return self.played

    def _live(self, until: float) -> None:
        while (moment := min(self._next_scrape, self._next_tick)) <= until:
            self.fleet.advance(moment)
            if moment == self._next_scrape:
                self.scrapes.scrape(self.fleet)
                self._next_scrape += SCRAPE_SECONDS
            if moment == self._next_tick:
                self._tick()
        self.fleet.advance(until)

    def _tick(self) -> None:
        wanted = self.controller.tick(self.fleet, self.scrapes)
        at = self.fleet.now - EPOCH
        if wanted.replicas is not None and wanted.replicas != self.fleet.replicas:
            self.played.scalings.append(Scaling(at, self.fleet.replicas, wanted.replicas, wanted.reason))
            self.fleet.scale(wanted.replicas)
        self._next_tick = self.fleet.now + wanted.again_seconds
        self.played.replicas.append((at, self.fleet.replicas, sum(pod.serves for pod in self.fleet.pods)))
