"""The highest open-loop rate at which 99 % of all offered requests are right and in the deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.engine.contenders import OURS, Setting
from bench.engine.extent import Extent
from bench.engine.field import Field
from bench.engine.measures.line_up import SWEEP_CALLERS, best_settings, rivals_for, say
from bench.engine.pairing import mirrored_rounds
from bench.engine.results import Result
from bench.engine.staircase import Staircase
from bench.engine.statistics import geometric_mean, paired_ratio

BLOCK = 4
"""Neighbouring levels of a staircase depend on each other: the bootstrap draws them together."""
START_SHARE = 0.85
"""Of the closed-loop throughput; where an open-loop staircase begins."""


@dataclass(frozen=True)
class Capacity:
    """One capacity measure; `against` empty: the best rival."""

    name: str
    workload: str
    deadline_seconds: float
    floor: float
    aim: float
    against: str = ""
    static_floor: float = 0.0
    static_aim: float = 0.0


MINILM = Capacity("capacity, MiniLM, 200 ms", "minilm", 0.2, 1.0, 1.03, "bentoml", 1.05, 1.1)
MIXED = Capacity("capacity, 8 to 256 tokens, 200 ms", "mixed", 0.2, 1.1, 1.3)
PACED = Capacity("capacity, emulated device, 30 ms", "paced", 0.03, 1.15, 1.3, "bentoml")


def measure(what: Capacity, extent: Extent, only: Sequence[str]) -> list[Result]:
    """Let every contender climb its staircase in the same rounds. Raises BenchError."""
    names = [*OURS, *rivals_for(what.workload, only)]
    chosen = best_settings(
        what.workload, what.deadline_seconds, extent, names, lambda field, name: _throughput(field, name, extent)
    )
    levels, unsettled = _climb(what, extent, names, {name: setting for name, (setting, _) in chosen.items()})
    means = {name: geometric_mean(values) for name, values in levels.items()}
    rivals = [name for name in names if name not in OURS]
    named = what.against if what.against in rivals else ""
    found = [_result(what, named or max(rivals, key=means.__getitem__), levels, extent)]
    static = [name for name in rivals if name != what.against]
    if what.static_floor and static:
        beside = replace(what, name=f"{what.name}, static", floor=what.static_floor, aim=what.static_aim)
        found.append(_result(beside, max(static, key=means.__getitem__), levels, extent))
    for result in found:
        result.unsettled = tuple(name for name in (*OURS, result.rival) if name in unsettled)
        result.contenders = {
            name: {"value": means[name], "setting": str(chosen[name][0]), "levels": levels[name]} for name in names
        }
    return found


def _result(what: Capacity, best: str, levels: dict[str, list[float]], extent: Extent) -> Result:
    ours, again = (levels[each] for each in OURS)
    return Result(
        what.name,
        trimtab=geometric_mean(ours),
        best_rival=geometric_mean(levels[best]),
        rival=best,
        ratio=paired_ratio(ours, levels[best], block=BLOCK),
        again=paired_ratio(ours, again, block=BLOCK),
        floor=what.floor,
        aim=what.aim,
        quick=extent.quick,
    )


def _throughput(field: Field, name: str, extent: Extent) -> float:
    answer = field.closed(name, SWEEP_CALLERS, extent.sweep_seconds)
    return float(max(answer["good"], 1) / answer["seconds"])


def _climb(
    what: Capacity, extent: Extent, names: Sequence[str], chosen: dict[str, Setting]
) -> tuple[dict[str, list[float]], set[str]]:
    levels: dict[str, list[float]] = {name: [] for name in names}
    with Field(extent.most_lag_seconds) as field:
        stairs = {}
        for name in names:
            field.start(name, what.workload, what.deadline_seconds, chosen[name])
            stairs[name] = Staircase(START_SHARE * _throughput(field, name, extent))
        rounds = mirrored_rounds(names, extent.settle_rounds + extent.climb_rounds, seed=2)
        for position, order in enumerate(rounds):
            for name in order:
                stair = stairs[name]
                answer = field.open(name, stair.rate, extent.climb_seconds, what.deadline_seconds, seed=position + 1)
                if position >= extent.settle_rounds:
                    levels[name].append(stair.rate)
                stairs[name] = stair.after(answer["good"], answer["offered"])
            say(f"  {what.workload}, round {position + 1}: " + ", ".join(f"{n} {stairs[n].rate:.0f}/s" for n in names))
    return levels, {name for name, stair in stairs.items() if not stair.settled}
