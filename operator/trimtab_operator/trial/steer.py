"""Where the tuning of a policy stands after this tick: its trial, the settings of its pods, and why no more is done.

The trial object is the truth. Everything that the policy's status says of it is derived from it anew in each tick, so
that a process which dies between the two writes leaves nothing that the next tick does not mend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import SETTINGS_HELD
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import HistoryEntry, LastKnownGood, LedgerEvent, Tuning
from trimtab_api.trial import OptimizationTrial, TrialPhase, TrialStatus, Verdict
from trimtab_operator.analysis.lookback import window_seconds
from trimtab_operator.analysis.trust import interval_seconds
from trimtab_operator.analysis.tunable import tunes_engines
from trimtab_operator.decision.engines import attachable_pods
from trimtab_operator.decision.ground import Held, trial_under_way
from trimtab_operator.decision.strategy import SurgeWish, TrialProposal, strategize
from trimtab_operator.decision.surge import SURGE
from trimtab_operator.model.action import TrialRecord
from trimtab_operator.model.analysis import Analysis, Constraint
from trimtab_operator.model.ledger import why
from trimtab_operator.model.snapshot import Snapshot, Target, TargetProblem
from trimtab_operator.trial import texts
from trimtab_operator.trial.draft import draft
from trimtab_operator.trial.interruptions import interrupted
from trimtab_operator.trial.stages import next_status
from trimtab_operator.trial.stand import Stand
from trimtab_operator.trial.trial_ledger import entries_of
from trimtab_operator.trial.tuning import last_known_good, restored, tuning_of
from trimtab_operator.trial.turns import seconds_to_next

_UNSETTLED = ("Attaching", "SettingsDiffer")
"""Why nothing is tried where engines must be asked for settings first, be it for the same ones."""


@dataclass(frozen=True)
class Course:
    """What status shall say of the tuning, and what is to be stored of a trial. `held` is why nothing new is tried.

    `pause_seconds` is the longest time after which the trial wants to be looked at again.
    """

    tuning: Tuning | None = None
    good: LastKnownGood | None = None
    trial: OptimizationTrial | None = None  # the one under way, as it will stand
    ended: OptimizationTrial | None = None  # the one that is over with this tick
    current_trial: str | None = None
    record: TrialRecord | None = None
    entries: tuple[HistoryEntry, ...] = ()
    held: Held | None = None
    rediscover: bool = False
    pause_seconds: float = math.inf

    @property
    def constraint(self) -> Constraint | None:
        """What keeps settings from being tried until somebody or something changes; None for what passes by itself."""
        return Constraint(*self.held) if self.held is not None and self.held[0] in SETTINGS_HELD else None

    @property
    def phase(self) -> TrialPhase | None:
        """Phase of the trial under way; None without one."""
        return self.trial.status.phase if self.trial else None


def steer(snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy) -> Course:
    """Take the trial one step further, or make the next one, or say why neither. Pure."""
    status, target = policy.status, snapshot.target
    standing = Course(tuning=status.tuning, good=status.last_known_good, current_trial=status.current_trial)
    if isinstance(target, TargetProblem):
        return standing
    if not tunes_engines(policy, target):
        return replace(standing, held=("NoKnobs", "no knob of this runtime may be turned: see spec.knobs"))
    trial = trial_under_way(snapshot)
    if trial is not None:
        course = _advanced(Stand(snapshot, analysis, policy, target, trial), standing)
    else:
        course = _at_rest(snapshot, analysis, policy, target, _concluded(snapshot, standing))
    return replace(course, rediscover=_target_is_new(snapshot, policy, course))


def _target_is_new(snapshot: Snapshot, policy: OptimizationPolicy, course: Course) -> bool:
    """Say whether a change of the target ended the newest trial so lately that what was measured speaks of the old."""
    newest = course.trial or course.ended or (snapshot.trials[-1] if snapshot.trials else None)
    if newest is None or newest.status.verdict is not Verdict.TARGET_CHANGED or newest.status.ended_at is None:
        return False
    return snapshot.now - newest.status.ended_at.timestamp() < window_seconds(policy)


def _trial_called(name: str, snapshot: Snapshot) -> OptimizationTrial | None:
    return next((each for each in snapshot.trials if each.metadata.name == name), None)


def _advanced(stand: Stand, standing: Course) -> Course:
    after = interrupted(stand) or next_status(stand)
    trial = stand.trial.model_copy(update={"status": after})
    course = _told_by(trial, standing, stand.scrape_seconds)
    if after != stand.status:
        return replace(course, record=_record(stand.trial, after))
    return replace(course, pause_seconds=_pause(stand))


def _pause(stand: Stand) -> float:
    return seconds_to_next(stand) if stand.by_turns and stand.status.phase is TrialPhase.MEASURING else math.inf


def _record(trial: OptimizationTrial, after: TrialStatus) -> TrialRecord:
    stamped = after.model_copy(update={"observed_generation": trial.metadata.generation})
    return TrialRecord(
        namespace=str(trial.metadata.namespace),
        name=trial.metadata.name,
        before=trial.status.to_body(),
        status=stamped.to_body(),
        resource_version=trial.metadata.resource_version,
    )


def _told_by(trial: OptimizationTrial, standing: Course, scrape_seconds: float) -> Course:
    """Derive what the policy says from the trial alone."""
    over = trial.status.phase is TrialPhase.FINISHED
    return replace(
        standing,
        tuning=tuning_of(trial, standing.tuning or Tuning(settings=trial.spec.stable), standing.good, scrape_seconds),
        good=last_known_good(trial, standing.good),
        trial=None if over else trial,
        ended=trial if over else None,
        current_trial=None if over else trial.metadata.name,
        entries=entries_of(trial),
    )


def _concluded(snapshot: Snapshot, standing: Course) -> Course:
    """Finish what a process left unsaid: the policy still points to a trial that is over, or that somebody deleted."""
    if standing.current_trial is None:
        return standing
    trial = _trial_called(standing.current_trial, snapshot)
    if trial is not None:
        return _told_by(trial, standing, interval_seconds(snapshot))
    tuning = standing.tuning.model_copy(update={"change": None}) if standing.tuning else None
    return replace(standing, tuning=tuning, current_trial=None)


def _at_rest(
    snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy, target: Target, standing: Course
) -> Course:
    standing = _left_behind(snapshot, target, standing)
    found = strategize(snapshot, analysis, policy, target)
    if isinstance(found, TrialProposal):
        record = draft(found, snapshot, target, policy)
        return replace(standing, current_trial=record.name, record=record)
    held = (SURGE, found.why) if isinstance(found, SurgeWish) else found
    course = replace(standing, held=held)
    if held[0] in _UNSETTLED and course.tuning is None:
        return _begun(snapshot, policy, target, course, held[0])
    return _asked_back(snapshot, policy, course)


def _begun(snapshot: Snapshot, policy: OptimizationPolicy, target: Target, course: Course, reason: str) -> Course:
    """Begin with the settings that the pods' entries already hold, where they agree; else with none.

    A policy that is made anew, as after an uninstallation, goes on from what was promoted. Where the one before went in
    mid trial or rollout, all engines are asked for the same, and the ledger says since when.
    """
    states = (snapshot.engines.get(pod.uid) for pod in attachable_pods(target))
    entries = [state.entry for state in states if state is not None and state.entry is not None]
    held = [entry.settings if entry.fallback is None else entry.fallback for entry in entries]
    alike = all(each == held[0] for each in held)
    begun = replace(course, tuning=Tuning(settings=held[0] if held and alike else EngineSettings()))
    if alike and reason == "Attaching":
        return begun
    entry = HistoryEntry(
        id=f"{LedgerEvent.ROLLED_BACK}-{policy.metadata.uid}"[:64],
        at=texts.when(snapshot.now),
        what=LedgerEvent.ROLLED_BACK,
        from_="unlike settings",
        to="the same settings",
        why=why("SettingsDiffer", "another policy left the engines with unlike settings: all are asked for the same"),
    )
    return replace(begun, entries=(*begun.entries, entry))


def _left_behind(snapshot: Snapshot, target: Target, standing: Course) -> Course:
    """Drop the change of a trial that ended by a change of the target once its pods are gone or have gone back."""
    change = standing.tuning.change if standing.tuning else None
    if standing.tuning is None or change is None:
        return standing
    living = {pod.uid for pod in target.pods}
    over = change.expires_at is not None and change.expires_at.timestamp() <= snapshot.now
    if living.intersection(change.pods) and not over:
        return standing
    return replace(standing, tuning=standing.tuning.model_copy(update={"change": None}))


def _asked_back(snapshot: Snapshot, policy: OptimizationPolicy, course: Course) -> Course:
    """Restore the settings of the trial that spec.rollbackTo names, once."""
    wanted = policy.spec.rollback_to
    if wanted is None or course.held is None or course.held[0] != "RolledBackByUser" or course.tuning is None:
        return course
    trial = _trial_called(wanted, snapshot)
    if trial is None:
        held = ("RollbackTargetUnknown", f"spec.rollbackTo names trial {wanted}, which does not exist: see opttrial")
        return replace(course, held=held)
    settings = restored(trial)
    if course.tuning.settings == settings:
        return course
    now = texts.when(snapshot.now)
    entry = HistoryEntry(
        id=f"{LedgerEvent.ROLLED_BACK}-{policy.metadata.generation}-{wanted}"[:64],
        at=now,
        what=LedgerEvent.ROLLED_BACK,
        from_=str(course.tuning.trial or "the first settings")[:64],
        to=wanted,
        why=why("RollbackTo", f"spec.rollbackTo asks for the settings after trial {wanted}"),
    )
    good = LastKnownGood(settings=settings, trial=wanted, at=now)
    return replace(course, tuning=Tuning(settings=settings, trial=wanted), good=good, entries=(*course.entries, entry))
