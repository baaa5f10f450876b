"""A declared model on trial: loaded beside the original, compared and timed. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab_engine.variants.accuracy import Task
from trimtab_engine.variants.capture import CapturedInput
from trimtab_engine.variants.declared import Declared
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.gate import admit, judge
from trimtab_engine.variants.planner import FoundPlan, timed
from trimtab_engine.variants.probe import Course, Probe, Refused


def stand_in(
    probe: Probe, declared: Declared, task: Task, min_accuracy: float, inputs: Sequence[CapturedInput]
) -> Course[FoundPlan]:
    """Load a declared model and leave it built.

    Raises:
        Refused: AccuracyTooLow; NotFaster where it is surely slower than the original; or what the worker refused,
            such as MemoryShort or OutputsDiffer.
    """
    yield from probe.build(declared)
    judged = yield from judge(probe, task, declared.name, inputs, 0)
    admit(judged.accuracy, min_accuracy, "search", speedup=None)
    speedup = yield from timed(probe, declared.name, inputs)
    agreement = judged.accuracy.agreement.measured
    if speedup.high < 1.0:
        raise Refused(
            "NotFaster",
            f"it is {speedup.value:.3f} times as fast as the original, at most {speedup.high:.3f}",
            Evidence(agreement.low, judged.accuracy.samples, speedup.value),
        )
    return FoundPlan(declared, speedup, agreement, 0.0, probe.seconds, probe.builds, probe.batch_size)
