"""What is played: each family of traffic at three sizes, with each start-up time, from several seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.scaling.lower_bound import lower_bound
from bench.scaling.play import Stage, with_lead_in
from bench.scaling.profiles import BY_GPUS, OBJECTIVES
from bench.scaling.traffic import FAMILIES, Family, scaled, windows
from trimtab_replay.fleet import FleetPlan
from trimtab_replay.serving import ServingModel
from trimtab_replay.trace import Trace

SIZES = {4: 5, 16: 2, 64: 1}
"""Mean replicas of the lower bound, and how many seeds: larger fleets hardly differ from one to the next."""
BY_NAME = {family.name: family for family in FAMILIES}


@dataclass(frozen=True, order=True)
class Case:
    """One family at one size, start-up and seed."""

    family: str
    startup_seconds: float
    mean_replicas: int
    seed: int


@dataclass(frozen=True)
class Part:
    """One window of a case: its stage, and the least GPU-hours."""

    stage: Stage
    bound_gpu_hours: float


def cases(sizes: Collection[int]) -> Iterator[Case]:
    """Return all cases of these sizes; the largest, which takes longest, with the shortest start-up only."""
    for family in FAMILIES:
        for startup in family.startups_seconds:
            for mean in sizes:
                if mean < max(SIZES) or startup == min(family.startups_seconds):
                    yield from (Case(family.name, startup, mean, seed) for seed in range(SIZES[mean]))


@lru_cache(maxsize=4)
def parts(folder: Path, case: Case) -> tuple[Part, ...]:
    """Return the windows of a case. Raises UnfitFileError."""
    family = BY_NAME[case.family]
    model, gpus = BY_GPUS[family.gpus], family.gpus
    recorded = _windows(folder, family)
    factor = case.mean_replicas / _mean_replicas(recorded, model, case.startup_seconds)
    found = []
    for window in recorded:
        trace = scaled(window, factor, family.jitter_seconds, case.seed)
        bound = lower_bound(trace, model, OBJECTIVES, case.startup_seconds)
        plan = FleetPlan(model, case.startup_seconds, gpus, nodes=_nodes(case))
        found.append(Part(Stage(with_lead_in(trace), plan, case.seed), bound.replica_seconds * gpus / 3600.0))
    return tuple(found)


def _nodes(case: Case) -> int:
    return 8 * case.mean_replicas


@lru_cache(maxsize=len(FAMILIES))
def _windows(folder: Path, family: Family) -> tuple[Trace, ...]:
    return tuple(windows(folder, family))


def _mean_replicas(recorded: tuple[Trace, ...], model: ServingModel, startup_seconds: float) -> float:
    bounds = [lower_bound(window, model, OBJECTIVES, startup_seconds).replica_seconds for window in recorded]
    return sum(bounds) / sum(window.seconds for window in recorded)
