"""Which GPUs of a replica limit it, where it spreads over several and the mean over them hides that some are full.

A pipeline carries what its slowest stage carries. How full a GPU is, two measures tell: the share of time in which it
works, and the share of a pass that its tensor pipes and memory take (`roofline`). By each, a stage is:

* the GPUs that reach 0.9 of the fullest: those of one stage work in step, as all of a tensor-parallel replica do
* at most half of the replica's GPUs, and each of the others at most 0.8 of them
* at least 0.6 full: under less load it does not matter
* all that on average over the seasoned pods, and the fullest GPU is among them in three quarters of these.

GPUs are counted in each pod in the order of their numbers, which is that of CUDA in the container. Pods whose GPUs do
not all answer are left out; pods with unequal numbers of GPUs, and measures that name different stages, name none. The
stage that stands in status stays while its GPUs, and no others, reach 0.9 of the fullest, and are 0.45 full.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import fmean

from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis import pods
from trimtab_operator.analysis.roofline import share_on_gpu
from trimtab_operator.model.analysis import Stage
from trimtab_operator.model.signals import LARGEST, GpuReading, Reading, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

IN_STEP, CLEARLY_LESS = 0.9, 0.8
UNDER_LOAD, STILL_UNDER_LOAD = 0.6, 0.45
AGREEING_PODS = 0.75

_Gpus = Mapping[str, tuple[float, ...]]
"""By pod, how full each of its GPUs is, 0 to 1."""


def limiting_stage(snapshot: Snapshot, policy: OptimizationPolicy) -> Stage | None:
    """Find the GPUs that limit each replica; None where there are none, or where it is not clear which."""
    if not snapshot.gpus or len({pod.gpus for pod in pods.serving(snapshot)}) != 1:
        return None
    stored = policy.status.bottleneck
    standing = stored.stage.name if stored and stored.stage else None
    found = [stage for gpus in _measures(snapshot) if (stage := _fullest(gpus, standing)) is not None]
    return found[0] if len({stage.gpus for stage in found}) == 1 else None


def at_stage(snapshot: Snapshot, stage: Stage) -> Snapshot:
    """Read the GPUs of the stage instead of all of a pod's; of GPUs that work in step, the fullest."""
    narrowed = {}
    for signal, reading in snapshot.gpus.items():
        fullest = {name: max(gpus[number] for number in stage.gpus) for name, gpus in _whole(snapshot, reading)}
        if fullest:
            seconds, at = reading.window_seconds, reading.at
            narrowed[signal] = Reading(signal, SignalState.OK, reading.query, seconds, at, fullest)
    return replace(snapshot, readings=snapshot.readings | narrowed)


def _measures(snapshot: Snapshot) -> Iterator[_Gpus]:
    active, tensor, dram = (
        dict(_whole(snapshot, snapshot.gpus.get(signal)))
        for signal in (Signal.GPU_UTILIZATION_RATIO, Signal.GPU_TENSOR_ACTIVE_RATIO, Signal.GPU_DRAM_ACTIVE_RATIO)
    )
    yield active
    yield {name: tuple(map(share_on_gpu, tensor[name], dram[name])) for name in tensor if name in dram}


def _whole(snapshot: Snapshot, reading: GpuReading | None) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield the seasoned pods with several GPUs all of which answered, with the value of each."""
    if reading is None or isinstance(snapshot.target, TargetProblem):
        return
    for pod in pods.seasoned(snapshot.target, snapshot.now, reading.window_seconds):
        gpus = reading.by_pod.get(pod.name, ())
        if pod.gpus == len(gpus) > 1 and all(0.0 <= each <= LARGEST for each in gpus):
            yield pod.name, tuple(min(1.0, each) for each in gpus)


def _fullest(gpus: _Gpus, standing: str | None) -> Stage | None:
    if not gpus:
        return None
    means = [fmean(each) for each in zip(*gpus.values(), strict=True)]
    in_step = tuple(number for number, each in enumerate(means) if each >= IN_STEP * max(means))
    others = [each for number, each in enumerate(means) if number not in in_step]
    agreeing = sum(each.index(max(each)) in in_step for each in gpus.values())
    if len(in_step) > len(others) or agreeing < AGREEING_PODS * len(gpus):
        return None
    stage = Stage(in_step, fmean(means[number] for number in in_step), max(others))
    if stage.name == standing:
        return stage if stage.active_ratio >= STILL_UNDER_LOAD else None
    clear = stage.others_ratio <= CLEARLY_LESS * stage.active_ratio
    return stage if clear and stage.active_ratio >= UNDER_LOAD else None
