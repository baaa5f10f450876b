"""The highest open-loop rate at which 99 % of all offered requests are right and in the deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.engine.contenders import OURS
from bench.engine.errors import BenchError
from bench.engine.field import Field
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.rounds import Rounds, mirrored_rounds
from bench.engine.run import Run
from bench.engine.staircase import Staircase, drift
from bench.engine.statistics import geometric_mean, paired_ratio
from bench.engine.sweep import DEADLINES_SECONDS, score

BLOCK = 4
"""Neighbouring levels of a staircase depend on each other: the bootstrap draws them together."""
START_SHARE = 0.85
"""Of the closed-loop throughput; where an open-loop staircase begins."""


@dataclass(frozen=True)
class Capacity:
    """One capacity measure against one rival by name, or the best `rivals` of the sweep (`against` empty)."""

    name: str
    workload: str
    floor: float
    aim: float
    rivals: int
    against: str = ""
    static_floor: float = 0.0
    static_aim: float = 0.0

    @property
    def deadline_seconds(self) -> float:
        """How long a request may take."""
        return DEADLINES_SECONDS[self.workload]


MINILM = Capacity("capacity, MiniLM, 200 ms", "minilm", 1.0, 1.03, 2, "bentoml", 1.05, 1.1)
MIXED = Capacity("capacity, 8 to 256 tokens, 200 ms", "mixed", 1.1, 1.3, 2)
PACED = Capacity("capacity, emulated device, 30 ms", "paced", 1.15, 1.3, 1, "bentoml")


@dataclass(frozen=True)
class Climbed:
    """Where the staircases stood in each round that counts, and why one found nothing."""

    levels: Mapping[str, Sequence[float]]
    unsettled: Mapping[str, str]


def measure(what: Capacity, run: Run) -> list[Result]:
    """Let ourselves twice and the rivals climb their staircases in the same rounds. Raises BenchError."""
    sweep = run.sweeps.of(what.workload)
    names = [*OURS, *sweep.rivals(what.rivals, named=(what.against,))]
    rivals = [name for name in names if name not in OURS]
    if not rivals:
        raise BenchError(f"no rival runs: {sweep.why_broken()}")
    climbed = _climb(what, run, names)
    best = max(rivals, key=lambda name: geometric_mean(climbed.levels[name] or [1e-9]))
    found = [_result(what, run, what.against if what.against in rivals else best, climbed)]
    static = [name for name in rivals if name != what.against]
    if what.static_floor and static:
        beside = replace(what, name=f"{what.name}, static", floor=what.static_floor, aim=what.static_aim)
        found.append(_result(beside, run, static[0], climbed))
    return found


def _climb(what: Capacity, run: Run, names: Sequence[str]) -> Climbed:
    sweep, extent = run.sweeps.of(what.workload), run.extent
    levels: dict[str, list[float]] = {name: [] for name in names}
    held: dict[str, int] = dict.fromkeys(names, 0)
    planned = extent.settle_rounds + extent.climb_rounds
    rounds = Rounds(mirrored_rounds(names, planned, seed=2), run.late)
    with Field(extent.most_lag_seconds) as field:
        stairs = {}
        for name in names:
            field.start(name, what.workload, what.deadline_seconds, sweep.best[name].setting)
            stairs[name] = Staircase(START_SHARE * score(field, name, what.workload, extent.sweep_seconds))

        def step(name: str, number: int) -> tuple[int, int]:
            rate, seconds = stairs[name].rate, extent.climb_seconds
            answer = field.open(name, rate, seconds, what.deadline_seconds, seed=number + 1)
            return answer["good"], answer["offered"]

        for done in rounds.run(step):
            for name, good in done.slices.items():
                if done.number >= extent.settle_rounds:
                    levels[name].append(stairs[name].rate)
                if good is not None:
                    held[name] += 1
                    stairs[name] = stairs[name].after(*good)
            now = ", ".join(f"{name} {stairs[name].rate:.0f}/s" for name in names)
            say(f"  {what.workload}, round {done.number + 1} of {planned}: {now}")
    few = {name: rounds.why_too_few(held[name]) for name in names}
    straight = {name: "its staircase never turned" for name, stair in stairs.items() if not stair.settled}
    drifting = {name: why for name, had in levels.items() if (why := drift(had))}
    return Climbed(levels, {name: why for name, why in (few | drifting | straight).items() if why})


def _result(what: Capacity, run: Run, rival: str, climbed: Climbed) -> Result:
    sweep = run.sweeps.of(what.workload)
    levels, unsettled = climbed.levels, climbed.unsettled
    reasons = [f"{name}: {unsettled[name]}" for name in (*OURS, rival) if name in unsettled]
    counted = bool(levels["trimtab"])
    climbers = {
        name: {"value": geometric_mean(had), "setting": str(sweep.best[name].setting), "levels": list(had)}
        for name, had in levels.items()
        if had
    }
    swept = {
        name: {"swept_per_second": each.score, "setting": str(each.setting), "note": "below the best of the sweep"}
        for name, each in sweep.best.items()
        if name not in levels
    }
    return Result(
        what.name,
        trimtab=geometric_mean(levels["trimtab"]) if counted else None,
        best_rival=geometric_mean(levels[rival]) if counted else None,
        rival=rival,
        ratio=paired_ratio(levels["trimtab"], levels[rival], block=BLOCK) if counted else None,
        again=paired_ratio(levels["trimtab"], levels["trimtab-again"], block=BLOCK) if counted else None,
        floor=what.floor,
        aim=what.aim,
        contenders=climbers | swept,
        quick=run.quick,
        unresolved="; ".join(reasons) or ("" if counted else "no round was had"),
        broken=sweep.why_broken(),
    )
