"""Requests per CPU-second of the whole server with a model that costs nothing."""

from __future__ import annotations

from bench.engine.contenders import OURS
from bench.engine.errors import BenchError
from bench.engine.field import Field
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.rounds import Rounds, paired, shuffled_rounds
from bench.engine.run import Run
from bench.engine.statistics import geometric_mean, paired_ratio
from bench.engine.sweep import CALLERS, DEADLINES_SECONDS, score_of

WORKLOAD = "trivial"
FLOOR, AIM = 1.4, 1.8
AGAINST = "mosec"
MEASURE = "requests per CPU-second, trivial model"


def measure(run: Run) -> list[Result]:
    """Run ourselves twice and the named rival in random turns; the others have their figures from the sweep.

    Raises BenchError.
    """
    sweep, extent = run.sweeps.of(WORKLOAD), run.extent
    names = [*OURS, *sweep.rivals(1, named=(AGAINST,))]
    if len(names) == len(OURS):
        raise BenchError(f"no rival runs: {sweep.why_broken()}")
    scores: dict[str, list[float | None]] = {name: [] for name in names}
    rounds = Rounds(shuffled_rounds(names, extent.closed_rounds, seed=1), run.late)
    with Field(extent.most_lag_seconds) as field:
        for name in names:
            field.start(name, WORKLOAD, DEADLINES_SECONDS[WORKLOAD], sweep.best[name].setting)

        def per_cpu_second(name: str, _: int) -> float:
            return score_of(field.closed(name, CALLERS, extent.closed_seconds), WORKLOAD)

        for done in rounds.run(per_cpu_second):
            for name in names:
                scores[name].append(done.slices[name])
            if done.number % 10 == 9:
                say(f"  {WORKLOAD}: {done.number + 1} of {extent.closed_rounds} rounds")
    return [_result(run, names, scores, rounds)]


def _result(run: Run, names: list[str], scores: dict[str, list[float | None]], rounds: Rounds) -> Result:
    sweep, rival = run.sweeps.of(WORKLOAD), names[-1]
    ours, theirs = paired(scores["trimtab"], scores[rival])
    own, again = paired(scores["trimtab"], scores["trimtab-again"])
    few = rounds.why_too_few(min(len(ours), len(own)))
    means = {name: geometric_mean(had) for name in names if (had := [each for each in scores[name] if each])}
    swept = {name: each.score for name, each in sweep.best.items() if name not in names}
    figures = {
        name: {"value": value, "setting": str(sweep.best[name].setting), "from": "sweep" if name in swept else "rounds"}
        for name, value in (swept | means).items()
    }
    return Result(
        MEASURE,
        trimtab=means.get("trimtab"),
        best_rival=means.get(rival),
        rival=rival,
        ratio=paired_ratio(ours, theirs) if ours else None,
        again=paired_ratio(own, again) if own else None,
        floor=FLOOR,
        aim=AIM,
        contenders=figures,
        quick=run.quick,
        unresolved=few,
        broken=sweep.why_broken(),
    )
