"""What the engines of a target say about settings that change answers: offered, refused by the hardware, in force."""

from __future__ import annotations

from collections.abc import Iterator

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


def refused_by_hardware(snapshot: Snapshot, words: tuple[str, ...]) -> str | None:
    """Return what an engine said of the newest trial of one of these values that its machine cannot run."""
    return next((trial.status.reason for trial in _refused(snapshot) if trial.spec.change.to in words), None)


def runnable_formats(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the number formats that every engine declares and that its machine is not known to be unable to run."""
    unable = {trial.spec.change.to for trial in _refused(snapshot)}
    if not on_gpu(snapshot):
        unable.add(Quantization.FP8)
    return tuple(word for word in offered(snapshot, Knob.QUANTIZATION) if word not in unable)


def on_gpu(snapshot: Snapshot) -> bool:
    """Say whether a pod of the target has a GPU."""
    return not isinstance(snapshot.target, TargetProblem) and any(pod.gpus for pod in snapshot.target.pods)


def _refused(snapshot: Snapshot) -> Iterator[OptimizationTrial]:
    """Yield the trials, newest first, that an engine refused for its machine; another template may mean another one."""
    template = None if isinstance(snapshot.target, TargetProblem) else snapshot.target.template_hash
    for trial in reversed(snapshot.trials):
        failed = trial.status.verdict is Verdict.FAILED_TO_START and trial.spec.target.template_hash == template
        if failed and any(reason in trial.status.reason for reason in HARDWARE_REASONS):
            yield trial


def _serving(snapshot: Snapshot) -> list[EngineState]:
    if isinstance(snapshot.target, TargetProblem):
        return []
    return [snapshot.engines.get(pod.uid, EngineState()) for pod in snapshot.target.ready_pods]
