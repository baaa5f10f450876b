"""Requests per CPU-second of the whole server with a model that costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

from bench.engine.contenders import OURS
from bench.engine.extent import Extent
from bench.engine.field import Field
from bench.engine.measures.line_up import CALLERS, best_settings, rivals_for, say
from bench.engine.pairing import shuffled_rounds
from bench.engine.results import Result
from bench.engine.statistics import geometric_mean, paired_ratio

WORKLOAD = "trivial"
DEADLINE_SECONDS = 10.0
FLOOR, AIM = 1.4, 1.8
AGAINST = "mosec"


def measure(extent: Extent, only: Sequence[str]) -> Result:
    """Run all contenders in random turns. Raises BenchError."""
    names = [*OURS, *rivals_for(WORKLOAD, only)]
    chosen = best_settings(WORKLOAD, DEADLINE_SECONDS, extent, names, lambda field, name: _score(field, name, extent))
    scores: dict[str, list[float]] = {name: [] for name in names}
    with Field(extent.most_lag_seconds) as field:
        for name in names:
            field.start(name, WORKLOAD, DEADLINE_SECONDS, chosen[name][0])
        for position, order in enumerate(shuffled_rounds(names, extent.closed_rounds, seed=1)):
            for name in order:
                scores[name].append(_per_cpu_second(field.closed(name, CALLERS, extent.closed_seconds)))
            if position % 10 == 9:
                say(f"  {WORKLOAD}: {position + 1} of {extent.closed_rounds} rounds")
    means = {name: geometric_mean(values) for name, values in scores.items()}
    return Result(
        "requests per CPU-second, trivial model",
        trimtab=means["trimtab"],
        best_rival=means[AGAINST],
        rival=AGAINST,
        ratio=paired_ratio(scores["trimtab"], scores[AGAINST]),
        again=paired_ratio(scores["trimtab"], scores["trimtab-again"]),
        floor=FLOOR,
        aim=AIM,
        contenders={name: {"value": means[name], "setting": str(chosen[name][0])} for name in names},
        quick=extent.quick,
    )


def _score(field: Field, name: str, extent: Extent) -> float:
    return _per_cpu_second(field.closed(name, CALLERS, extent.sweep_seconds))


def _per_cpu_second(answer: dict[str, float]) -> float:
    return max(answer["good"], 1) / answer["cpu_seconds"]
