"""Passes of every contender in turn: how much faster than the engine's own, and what share of the card they use."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.engine.compiled import Batch
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.rounds import shuffled_rounds
from bench.engine.statistics import Ratio, paired_ratio
from bench.gpu.ceilings import Ceilings
from bench.gpu.contenders import AGAIN, EAGER, NUMBERS, Pass, contenders
from bench.gpu.work import floor_seconds, operations, total_flops
from bench.gpu.workloads import Workload

ROUNDS = 100
_SLICE_SECONDS = 0.02
_WARM_UPS = 3
_SEED = 1


@dataclass(frozen=True)
class Timed:
    """Seconds of a pass in each round, by contender, and the mean cosine to the engine's own answers."""

    seconds: Mapping[str, Sequence[float]]
    cosines: Mapping[str, float]

    def ratio(self, contender: str, beside: str = EAGER) -> Ratio:
        """Return how many times as fast it is."""
        return paired_ratio(self.seconds[beside], self.seconds[contender])


def measure(workload: Workload, ceilings: Ceilings) -> list[Result]:
    """Return a row for each format beside the engine's own pass, and one for the share of the roofline of each."""
    timed = in_turns(contenders(workload), workload.batches)
    names = [name for name in timed.seconds if name not in (EAGER, AGAIN)]
    rows = [_speed_row(timed, workload, name) for name in names]
    rows.append(_speed_row(timed, workload, "bf16 + fp8", beside="bf16"))
    return [*rows, *(_roofline_row(timed, workload, ceilings, name) for name in (EAGER, *names))]


def in_turns(passes: Mapping[str, Pass], batches: Sequence[Batch]) -> Timed:
    """Time slices of all contenders in rounds of random order, each on the same batches."""
    warm = {name: _warm_seconds(run, batches) for name, run in passes.items()}
    turns = {name: max(1, round(_SLICE_SECONDS / seconds)) for name, seconds in warm.items()}
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for order in shuffled_rounds(list(passes), ROUNDS, seed=_SEED):
        for name in order:
            seconds[name].append(_seconds(passes[name], batches, turns[name]) / turns[name] / len(batches))
    cosines = {name: fmean(_cosine(passes[EAGER], run, batch) for batch in batches) for name, run in passes.items()}
    return Timed(seconds, cosines)


def _warm_seconds(run: Pass, batches: Sequence[Batch]) -> float:
    """Return the seconds of all batches, once libraries have chosen their kernels."""
    _seconds(run, batches, _WARM_UPS)
    return _seconds(run, batches, 1)


def _seconds(run: Pass, batches: Sequence[Batch], turns: int) -> float:
    """Return the seconds of all batches so many times; a pass ends with its answers on the host."""
    began = time.perf_counter()
    for _ in range(turns):
        for batch in batches:
            run(batch)
    return time.perf_counter() - began


def _cosine(one: Pass, other: Pass, batch: Batch) -> float:
    return float((one(batch) * other(batch)).sum(1).mean())


def _speed_row(timed: Timed, workload: Workload, name: str, beside: str = EAGER) -> Result:
    ratio = timed.ratio(name, beside)
    ours, theirs = (1e3 * median(timed.seconds[each]) for each in (name, beside))
    cosine = f"mean cosine to eager {timed.cosines[name]:.5f}" if workload.trained else "random weights: no accuracy"
    say(f"  {workload.name}: {name} {ratio.mean:.2f} of {beside}")
    return Result(
        f"GPU: {name} beside {beside}, {workload.name}",
        trimtab=ratio.mean,
        ratio=ratio,
        again=timed.ratio(AGAIN),
        contenders={name: {"milliseconds": ours}, beside: {"milliseconds": theirs}},
        note=f"{ours:.2f} ms a pass beside {theirs:.2f}; {cosine}",
    )


def _roofline_row(timed: Timed, workload: Workload, ceilings: Ceilings, name: str) -> Result:
    numbers, seconds = NUMBERS[name], median(timed.seconds[name])
    found = [list(operations(workload.shape, tokens, numbers)) for tokens in workload.tokens()]
    floor = fmean(floor_seconds(each, ceilings.flops_per_second, ceilings.bytes_per_second) for each in found)
    flops_per_second = fmean(map(total_flops, found)) / seconds
    use = flops_per_second / ceilings.flops_per_second[numbers.linear]
    return Result(
        f"GPU: share of the roofline, {name}, {workload.name}",
        trimtab=floor / seconds,
        contenders={"mfu": use, "teraflops": flops_per_second / 1e12, "floor_milliseconds": 1e3 * floor},
        note=f"MFU {use:.3f} of the measured {numbers.linear} ceiling: {flops_per_second / 1e12:.1f} TFLOP/s; floor "
        f"{1e3 * floor:.3f} ms, measured {1e3 * seconds:.3f} ms",
    )
