"""What became of a number format that the policy allows behind the accuracy gate, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dev.demo.accuracy import Accuracy
from dev.demo.changes import cut
from dev.demo.tuning.plan import Quality
from dev.demo.tuning.trials import TrialSight
from trimtab_api.engine_knobs import Knob
from trimtab_api.trial import TrialPhase, Verdict

LONGEST_WORDS = 260
_STARTING = (TrialPhase.UNKNOWN, TrialPhase.AWAITING_APPROVAL, TrialPhase.RUN_IN, TrialPhase.SHADOW)
_REFUSALS = {
    "NotFaster": "it found no plan of layers that is faster on this machine",
    "AccuracyTooLow": "its answers would agree too little with those of the unmodified model",
    "TooFewInputs": "it saw too few distinct inputs to judge by",
    "NoFormat": "this machine cannot run the format",
}


@dataclass(frozen=True)
class Gate:
    """How it stands with a format when the demo is over.

    `trial` is its newest trial, None where there was none; `working` what engines say that they still work on and
    `unavailable` why it cannot be tried, each empty where there is nothing to say; `accuracy` is that of this moment.
    """

    quality: Quality
    trial: TrialSight | None = None
    working: str = ""
    unavailable: str = ""
    accuracy: Accuracy | None = None


def format_trial(trials: Iterable[TrialSight]) -> TrialSight | None:
    """Return the newest trial of a number format, None where there was none."""
    found = [trial for trial in trials if trial.change.startswith(f"{Knob.QUANTIZATION} ")]
    return found[-1] if found else None


def searching(trials: Iterable[TrialSight]) -> bool:
    """Say whether a format is waited for: its engine has neither taken nor refused it."""
    trial = format_trial(trials)
    return trial is not None and not trial.judged and trial.phase in _STARTING


def gate_line(gate: Gate) -> str:
    """Say whether the format was kept, was refused, was of no use, or was still searched when the time was over."""
    name, trial = gate.quality.format, gate.trial
    if trial is None:
        why = (
            gate.unavailable
            or "what alters no answer comes first, and the demo's time or its trials were over before its turn"
        )
        return f"{name} was not tried: {cut(why, LONGEST_WORDS)}"
    if searching([trial]):
        said = f" ({gate.working})" if gate.working else ""
        began = "was still being searched" if trial.phase == TrialPhase.SHADOW else "was about to be searched"
        return (
            f"{name} {began}{said} when the demo's time was over; until its engine has found a plan that is faster "
            "and passes the gate, every answer comes from the unmodified model"
        )
    if trial.verdict == Verdict.FAILED_TO_START:
        return f"{name} answered no request: {_refusal(trial.reason)}: {cut(trial.reason, LONGEST_WORDS)}"
    passed = f"{name} passed the gate ({gate.quality.min_accuracy} asked for{_agreement(gate)})"
    if not trial.judged:
        return f"{passed}; its trial was still being measured when the demo's time was over"
    if trial.verdict == Verdict.IMPROVED:
        still = f", and its trial was in phase {trial.phase} when the demo's time was over" if trial.under_way else ""
        return f"{passed} and was kept, {trial.observed}{still}"
    return f"{passed} and was taken back: {trial.verdict}: {cut(trial.reason, LONGEST_WORDS)}"


def _refusal(reason: str) -> str:
    said = next((words for word, words in _REFUSALS.items() if word in reason), None)
    return f"its engine refused it, {said}" if said else "its engine did not take it"


def _agreement(gate: Gate) -> str:
    return "" if gate.accuracy is None or gate.accuracy.value is None else f", measured {gate.accuracy}"
