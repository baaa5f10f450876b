"""What the engines of a target say about settings that change answers: offered, refused by the hardware, in force."""

from __future__ import annotations

from trimtab_api.engine_knobs import BASE_VARIANT, Knob
from trimtab_api.engine_settings import Quantization
from trimtab_api.trial import OptimizationTrial, Verdict
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

HARDWARE_REASONS = (
    "BackendMissing",
    "FormatUnsupported",
    "MemoryShort",
    "NoFormat",
    "NotFaster: no kind of layer is faster",  # what the machine has no arithmetic for is emulated, and slow
)
"""Words by which an engine says that its machine cannot run a format; no other traffic would change that."""


def runs_unmodified(snapshot: Snapshot) -> bool:
    """Say whether every serving pod's engine has said that it runs the model as it was deployed."""
    applied = [state.applied for state in _serving(snapshot)]
    return bool(applied) and all(
        each is not None and each.quantization is Quantization.NONE and each.variant == BASE_VARIANT for each in applied
    )


def offered(snapshot: Snapshot, knob: Knob) -> tuple[str, ...]:
    """Return the words of a choice that every serving pod's engine declares."""
    first, *others = [state.words(knob) for state in _serving(snapshot)] or [()]
    return tuple(word for word in first if all(word in words for words in others))


def refused_by_hardware(trials: tuple[OptimizationTrial, ...], words: tuple[str, ...]) -> str | None:
    """Return what an engine said of the newest trial of one of these values that its machine cannot run."""
    for trial in reversed(trials):
        failed = trial.status.verdict is Verdict.FAILED_TO_START and trial.spec.change.to in words
        if failed and any(reason in trial.status.reason for reason in HARDWARE_REASONS):
            return trial.status.reason
    return None


def _serving(snapshot: Snapshot) -> list[EngineState]:
    if isinstance(snapshot.target, TargetProblem):
        return []
    return [snapshot.engines.get(pod.uid, EngineState()) for pod in snapshot.target.ready_pods]
