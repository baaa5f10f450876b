"""One contender under one piece of traffic, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.scaling.profiles import OBJECTIVES, carries_rps
from bench.scaling.traffic import HOUR
from trimtab_replay.fleet import FleetPlan
from trimtab_replay.run import EPOCH, Controller, Played, Run, Start
from trimtab_replay.trace import Trace

LOOKBACK_SECONDS = 3600.0
SCRAPE_LOSS = 0.01
LEAD_IN_SECONDS = 600.0
"""Played before anything counts, so that no contender is judged by how an empty fleet fills."""
HOURLY_SHARE = 0.95


@dataclass(frozen=True)
class Stage:
    """Traffic with its lead-in, and a fleet: what every contender gets alike."""

    trace: Trace
    plan: FleetPlan
    seed: int


def with_lead_in(trace: Trace) -> Trace:
    """Return a trace whose first minutes come twice: before it, backwards, so that the load goes on without a step."""
    first = np.flatnonzero(trace.arrived < LEAD_IN_SECONDS)[::-1]
    place = np.concatenate([first, np.arange(len(trace))])
    arrived = np.concatenate([LEAD_IN_SECONDS - trace.arrived[first], LEAD_IN_SECONDS + trace.arrived])
    return Trace(arrived, trace.prompt_tokens[place], trace.output_tokens[place])


@dataclass(frozen=True)
class Outcome:
    """GPU-hours from order to release; requests that kept the objectives, and all, by hour; changes of the replicas."""

    gpu_hours: float
    good: tuple[int, ...]
    requests: tuple[int, ...]
    events: int

    @property
    def attainment(self) -> float:
        """Share of all requests that kept the objectives."""
        return sum(self.good) / max(1, sum(self.requests))

    @property
    def worst_hour(self) -> float:
        """The smallest share of an hour."""
        return min((good / every for good, every in zip(self.good, self.requests, strict=True) if every), default=1.0)

    @property
    def reached(self) -> bool:
        """Whether it kept the whole and each hour."""
        return self.attainment >= OBJECTIVES.share and self.worst_hour >= HOURLY_SHARE


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of several windows of one trace."""
    return Outcome(
        sum(each.gpu_hours for each in outcomes),
        tuple(count for each in outcomes for count in each.good),
        tuple(count for each in outcomes for count in each.requests),
        sum(each.events for each in outcomes),
    )


def play(stage: Stage, controller: Controller) -> Outcome:
    """Play it."""
    opening = opening_replicas(stage)
    start = Start(stage.plan, opening, LOOKBACK_SECONDS, stage.seed, SCRAPE_LOSS, LEAD_IN_SECONDS)
    return outcome(stage.trace, Run(controller, start, stage.trace).play())


def opening_replicas(stage: Stage) -> int:
    """Return what everybody begins with: enough for the first minutes, by the offline profile, and a fifth more."""
    trace = stage.trace
    rate = float((trace.arrived < LEAD_IN_SECONDS).sum()) / LEAD_IN_SECONDS
    carried = carries_rps(stage.plan.model, float(trace.prompt_tokens.mean()), float(trace.output_tokens.mean()))
    return max(1, math.ceil(1.2 * rate / carried))


def outcome(trace: Trace, played: Played) -> Outcome:
    """Count: what was not answered, or is answered after the end of time, missed."""
    answers = played.answers
    kept = (answers.ttft_seconds <= OBJECTIVES.ttft_seconds) & (answers.tpot_seconds <= OBJECTIVES.tpot_seconds)
    hours = max(1, math.ceil((trace.seconds - LEAD_IN_SECONDS) / HOUR - 0.5))
    edges = [*(LEAD_IN_SECONDS + HOUR * np.arange(hours)).tolist(), math.inf]
    good = np.histogram(answers.arrived[kept] - EPOCH, edges)[0]
    every = np.histogram(trace.arrived, edges)[0]
    return Outcome(played.gpu_hours, tuple(good.tolist()), tuple(every.tolist()), len(played.scalings))
