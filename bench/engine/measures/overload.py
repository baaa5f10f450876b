"""Goodput under more load than anyone can serve, as a share of the best contender's saturation."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean

from bench.engine.contenders import OURS
from bench.engine.errors import BenchError
from bench.engine.field import Field
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.rounds import Rounds, mirrored_rounds, paired
from bench.engine.run import Run
from bench.engine.statistics import Ratio, meets, paired_ratio
from bench.engine.sweep import DEADLINES_SECONDS, score

WORKLOAD = "minilm"
RIVALS = 2
BELOW_RIVAL = 0.01
"""As a share of the saturation: so much less than the best rival may our goodput be."""


@dataclass(frozen=True)
class Step:
    """Load as a multiple of the saturation; floor and aim of the goodput as a share of it."""

    factor: float
    floor: float
    aim: float


STEPS = (Step(1.3, 0.90, 0.95), Step(1.5, 0.88, 0.95))
Shares = dict[str, list[float | None]]


def measure(run: Run) -> list[Result]:
    """Load every contender in turn, the saturation measured anew in each round. Raises BenchError."""
    sweep, extent = run.sweeps.of(WORKLOAD), run.extent
    names = [*OURS, *sweep.rivals(RIVALS)]
    if len(names) == len(OURS):
        raise BenchError(f"no rival runs: {sweep.why_broken()}")
    shares: dict[float, Shares] = {step.factor: {name: [] for name in names} for step in STEPS}
    orders = mirrored_rounds(names, extent.overload_rounds * len(STEPS), seed=3)
    rounds = Rounds(orders, run.late)
    saturations: list[float] = []
    with Field(extent.most_lag_seconds) as field:
        for name in names:
            field.start(name, WORKLOAD, DEADLINES_SECONDS[WORKLOAD], sweep.best[name].setting)
        fastest = max(names, key=lambda name: score(field, name, WORKLOAD, extent.sweep_seconds))

        def overloaded(name: str, number: int) -> float:
            if len(saturations) <= number:
                saturations.append(score(field, fastest, WORKLOAD, extent.sweep_seconds))
            saturation, seconds = saturations[number], extent.overload_seconds
            rate = _step(number).factor * saturation
            answer = field.open(name, rate, seconds, DEADLINES_SECONDS[WORKLOAD], seed=number // len(STEPS) + 1)
            return float(max(answer["good"], 1) / seconds / saturation)

        for done in rounds.run(overloaded):
            for name in names:
                shares[_step(done.number).factor][name].append(done.slices[name])
            say(f"  overload, round {done.number + 1} of {len(orders)}: saturation {saturations[-1]:.0f}/s")
    return [_result(step, run, shares[step.factor], fastest, rounds) for step in STEPS]


def _step(number: int) -> Step:
    """Two rounds at each load in turn, so that each has its A B B A."""
    return STEPS[number // 2 % len(STEPS)]


def _result(step: Step, run: Run, shares: Shares, fastest: str, rounds: Rounds) -> Result:
    means = {name: mean(had) for name, values in shares.items() if (had := [each for each in values if each])}
    rivals = [name for name in means if name not in OURS]
    if "trimtab" not in means or not rivals:
        return Result(f"goodput at {step.factor} x saturation, share of it", unresolved=rounds.why_too_few(0))
    best = max(rivals, key=means.__getitem__)
    ours, again = paired(shares["trimtab"], shares["trimtab-again"])
    ratio = paired_ratio(ours, [1.0] * len(ours)) if ours else None
    return Result(
        f"goodput at {step.factor} x saturation, share of it",
        trimtab=means["trimtab"],
        best_rival=means[best],
        rival=best,
        ratio=ratio,
        again=paired_ratio(ours, again) if ours else None,
        floor=step.floor,
        aim=step.aim,
        holds=None if ratio is None else holds(ratio, step, means[best]),
        asked=f"floor {step.floor}, and not below {best} by {BELOW_RIVAL}; aim {step.aim}",
        contenders={name: {"value": means[name], "shares": shares[name]} for name in means},
        note=f"ratio: our goodput to the saturation of {fastest}",
        quick=run.quick,
        unresolved=rounds.why_too_few(len(STEPS) * len(ours)),
        broken=run.sweeps.of(WORKLOAD).why_broken(),
    )


def holds(ratio: Ratio, step: Step, best_rival: float) -> bool:
    """Tell whether goodput keeps the floor and is not below the best rival's, all as shares of the saturation."""
    return meets(ratio, step.floor) and ratio.mean >= best_rival - BELOW_RIVAL
