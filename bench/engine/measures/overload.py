"""Goodput under more load than anyone can serve, as a share of the best contender's saturation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from bench.engine.contenders import OURS
from bench.engine.extent import Extent
from bench.engine.field import Field
from bench.engine.measures.line_up import SWEEP_CALLERS, best_settings, rivals_for, say
from bench.engine.pairing import mirrored_rounds
from bench.engine.results import Result
from bench.engine.statistics import paired_ratio

WORKLOAD = "minilm"
DEADLINE_SECONDS = 0.2


@dataclass(frozen=True)
class Step:
    """Load as a multiple of the saturation; floor and aim of the goodput as a share of it."""

    factor: float
    floor: float
    aim: float


STEPS = (Step(1.3, 0.90, 0.95), Step(1.5, 0.88, 0.95))
Shares = dict[float, dict[str, list[float]]]


def measure(extent: Extent, only: Sequence[str]) -> list[Result]:
    """Load every contender in turn, the saturation measured anew in each round. Raises BenchError."""
    names = [*OURS, *rivals_for(WORKLOAD, only)]
    chosen = best_settings(WORKLOAD, DEADLINE_SECONDS, extent, names, lambda field, name: _rate(field, name, extent))
    fastest = max(names, key=lambda name: chosen[name][1])
    shares: Shares = {step.factor: {name: [] for name in names} for step in STEPS}
    with Field(extent.most_lag_seconds) as field:
        for name in names:
            field.start(name, WORKLOAD, DEADLINE_SECONDS, chosen[name][0])
        for position, order in enumerate(mirrored_rounds(names, extent.overload_rounds, seed=3)):
            for step in STEPS:
                saturation = _rate(field, fastest, extent)
                for name in order:
                    rate, seconds = step.factor * saturation, extent.overload_seconds
                    answer = field.open(name, rate, seconds, DEADLINE_SECONDS, seed=position + 1)
                    shares[step.factor][name].append(max(answer["good"], 1) / seconds / saturation)
            say(f"  overload, round {position + 1} of {extent.overload_rounds}: saturation {saturation:.0f}/s")
    return [_result(step, shares[step.factor], fastest, extent) for step in STEPS]


def _result(step: Step, shares: dict[str, list[float]], fastest: str, extent: Extent) -> Result:
    best = max((name for name in shares if name not in OURS), key=lambda name: mean(shares[name]))
    ours = shares["trimtab"]
    return Result(
        f"goodput at {step.factor} x saturation, share of it",
        trimtab=mean(ours),
        best_rival=mean(shares[best]),
        rival=best,
        ratio=paired_ratio(ours, [1.0] * len(ours)),
        again=paired_ratio(ours, shares["trimtab-again"]),
        floor=step.floor,
        aim=step.aim,
        contenders={name: {"value": mean(values), "shares": values} for name, values in shares.items()},
        note=f"ratio: our goodput to the saturation of {fastest}; also asked: not below the best rival by .01",
        quick=extent.quick,
    )


def _rate(field: Field, name: str, extent: Extent) -> float:
    answer = field.closed(name, SWEEP_CALLERS, extent.sweep_seconds)
    return float(max(answer["good"], 1) / answer["seconds"])
