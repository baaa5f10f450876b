"""The gate: a variant's answers beside the original's on inputs that nothing was chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.variants.accuracy import Accuracy, Task, accuracy
from trimtab_engine.variants.capture import CapturedInput
from trimtab_engine.variants.drift import Traffic
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.intervals import Interval
from trimtab_engine.variants.probe import Course, Probe, Refused


@dataclass(frozen=True, slots=True)
class Judged:
    """A variant's accuracy on a set of inputs, and what that traffic looked like."""

    accuracy: Accuracy
    traffic: Traffic


def judge(probe: Probe, task: Task, variant: str, inputs: Sequence[CapturedInput], seed: int) -> Course[Judged]:
    """Measure a variant on a set; the original runs twice, the second time with other neighbours in its batches."""
    original = yield from probe.answers(BASE_VARIANT, inputs)
    regrouped = yield from probe.answers(BASE_VARIANT, inputs[::-1], batch_size=max(1, len(inputs) // 37))
    other = yield from probe.answers(variant, inputs)
    measured = accuracy(task, original, regrouped[::-1], other, seed)
    return Judged(measured, Traffic(np.array([one.length for one in inputs]), other))


def admit(measured: Accuracy, min_accuracy: float, stage: str, speedup: Interval | None) -> None:
    """Let a variant pass whose lower 95 % bound keeps the least accuracy; `speedup` as far as it is known.

    Raises:
        Refused: AccuracyTooLow, with the figures.
    """
    found = measured.agreement.measured
    if found.low < min_accuracy:
        raise Refused(
            "AccuracyTooLow",
            f"{stage}: {found.value:.4f} with a lower 95 % bound of {found.low:.4f} on {measured.samples} inputs; "
            f"asked for is {min_accuracy:g} (the original against itself: {measured.agreement.itself:.4f})",
            Evidence(found.low, measured.samples, None if speedup is None else speedup.value),
        )
