"""Which settings each pod shall have, as a trial's phase says: derived anew in every tick, so no crash loses it."""

from __future__ import annotations

from datetime import timedelta

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.policy_status import LastKnownGood, SettingsChange, Tuning
from trimtab_api.trial import OptimizationTrial, TrialPhase, Verdict
from trimtab_operator.analysis import trial_time

_BEFORE = (TrialPhase.UNKNOWN, TrialPhase.AWAITING_APPROVAL, TrialPhase.RUN_IN)
_UNDER_TEST = (TrialPhase.STARTING, TrialPhase.SHADOW, TrialPhase.MEASURING)


def tuning_of(trial: OptimizationTrial, before: Tuning, good: LastKnownGood | None, scrape_seconds: float) -> Tuning:
    """Return the settings of the pods while the trial stands as it does; `before` is what was stored."""
    spec, status = trial.spec, trial.status
    if status.verdict is Verdict.TARGET_CHANGED:
        return before
    if status.phase in _BEFORE:
        return before.model_copy(update={"change": None})
    if status.phase in _UNDER_TEST or status.phase is TrialPhase.ROLLING_OUT:
        return before.model_copy(update={"change": _given(trial, scrape_seconds)})
    if status.phase is TrialPhase.VALIDATING or status.verdict is Verdict.IMPROVED:
        return Tuning(settings=spec.canary, trial=trial.metadata.name, change=None)
    return _taken_back(trial, before, good)


def _given(trial: OptimizationTrial, scrape_seconds: float) -> SettingsChange | None:
    """Return what some pods have; None while none has it, as by turns in a switchback."""
    spec, status, ends = trial.spec, trial.status, None
    if not status.changed:
        return None
    if status.phase in _UNDER_TEST and status.started_at is not None:
        lasts = trial_time.expiry(spec.rules, scrape_seconds, spec.change.knob)
        ends = status.started_at + timedelta(seconds=round(lasts))
    return SettingsChange(trial=trial.metadata.name, settings=spec.canary, pods=status.changed, expires_at=ends)


def _taken_back(trial: OptimizationTrial, before: Tuning, good: LastKnownGood | None) -> Tuning:
    """Return what was in force before the trial; a trial that never got to all pods left that untouched."""
    if before.trial != trial.metadata.name:
        return before.model_copy(update={"change": None})
    return Tuning(settings=trial.spec.stable, trial=good.trial if good else None, change=None)


def last_known_good(trial: OptimizationTrial, before: LastKnownGood | None) -> LastKnownGood | None:
    """Return the configuration to go back to: the stable one at first, the trial's own once it is validated."""
    status = trial.status
    if status.phase is TrialPhase.FINISHED and status.verdict is Verdict.IMPROVED and status.ended_at is not None:
        return LastKnownGood(settings=trial.spec.canary, trial=trial.metadata.name, at=status.ended_at)
    if before is None and status.started_at is not None:
        return LastKnownGood(settings=trial.spec.stable, trial=None, at=status.started_at)
    return before


def restored(trial: OptimizationTrial) -> EngineSettings:
    """Return the settings that were in force after a trial: those of the canary where they were kept."""
    return trial.spec.canary if trial.status.verdict is Verdict.IMPROVED else trial.spec.stable
