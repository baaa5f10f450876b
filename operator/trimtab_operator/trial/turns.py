"""A switchback at work: the pod is asked for the settings of the period that has begun, the engine's word is noted.

What the pod shall run with stands in the trial's status before anything is asked of it, as ever. A period in which the
engine was not seen to run with its settings is not noted, and so not measured: whoever is away for a while, operator,
agent or engine, costs pairs and nothing else. Nothing is switched while measurements are not trusted.
"""

from __future__ import annotations

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.trial import Arm, TrialPeriod, TrialPhase, TrialStatus, Verdict
from trimtab_operator.analysis import switch_schedule
from trimtab_operator.analysis.freeze import frozen_by
from trimtab_operator.trial import texts
from trimtab_operator.trial.ending import ended
from trimtab_operator.trial.stand import Stand

SOON_SECONDS = 1.0  # while the engine has not said that it runs with the settings of the period


def take_turns(stand: Stand, status: TrialStatus) -> TrialStatus:
    """Return the status with the settings of this period; `status` is what became of it by its measurements."""
    if status.phase is not TrialPhase.MEASURING:
        return status
    frozen = frozen_by(stand.policy.spec, stand.now)
    if frozen is not None:
        return ended(stand, Verdict.INCONCLUSIVE, "spec.freeze of the policy forbids to switch settings now")
    if not stand.analysis.trust.trusted:
        return status
    pods = tuple(pod.uid for pod in stand.trial.spec.pods)
    wanted = pods if _has_change(stand) else ()
    if status.changed != wanted:
        return status.model_copy(update={"changed": wanted, "changed_at": texts.when(stand.now)})
    if stand.seconds_since(status.measured_from) < 0.0 or _is_noted(stand) or not _in_force(stand):
        return status
    seen = TrialPeriod(arm=Arm.CANARY if wanted else Arm.STABLE, from_=texts.when(stand.now))
    return status.model_copy(update={"periods": (*status.periods, seen)})


def seconds_to_next(stand: Stand) -> float:
    """Return when to look again: at the start of the next period, soon while the engine has not taken this one's."""
    elapsed = stand.seconds_since(stand.status.measured_from)
    if elapsed < 0.0:
        return -elapsed
    if not _is_noted(stand):
        return SOON_SECONDS
    return period_seconds(stand) - elapsed % period_seconds(stand)


def period_seconds(stand: Stand) -> int:
    """Return the length of a period as stored, since what a tick knows of the scrapes may change; at first, by them."""
    stored = stand.status.period_seconds
    return stored or switch_schedule.period_seconds(stand.trial.spec.rules, stand.scrape_seconds)


def _has_change(stand: Stand) -> bool:
    """Tell whether the period that has begun has the change; after the last pair none has."""
    return not _all_over(stand) and switch_schedule.has_change(stand.trial.metadata.uid, _number(stand))


def _all_over(stand: Stand) -> bool:
    return _number(stand) >= 2 * switch_schedule.pairs(stand.trial.spec.rules, period_seconds(stand))


def _number(stand: Stand) -> int:
    return switch_schedule.number_at(stand.seconds_since(stand.status.measured_from), period_seconds(stand))


def _in_force(stand: Stand) -> bool:
    """Tell whether the pod serves with the settings that the trial's status says it shall have."""
    settings = stand.trial.spec.canary if stand.status.changed else _unchanged(stand)
    return all(stand.pod(pod.uid) is not None and stand.engine(pod.uid).runs(settings) for pod in stand.trial.spec.pods)


def _unchanged(stand: Stand) -> EngineSettings:
    tuning = stand.policy.status.tuning
    return stand.trial.spec.stable if tuning is None else tuning.settings


def _is_noted(stand: Stand) -> bool:
    """Tell whether the engine was seen to run with the settings of this period; after the last pair nothing is."""
    newest = stand.status.periods[-1].from_ if stand.status.periods else None
    begun = stand.seconds_since(stand.status.measured_from) - _number(stand) * period_seconds(stand)
    return _all_over(stand) or stand.seconds_since(newest) <= begun
