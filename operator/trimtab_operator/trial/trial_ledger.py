"""What a trial leaves in the policy's ledger; entries have fixed ids, so that saying them again adds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from trimtab_api.policy_status import HistoryEntry, LedgerEvent
from trimtab_api.trial import OptimizationTrial, TrialPhase, Verdict
from trimtab_operator.model.ledger import why

_ROLLED_OUT = (TrialPhase.VALIDATING, TrialPhase.FINISHED)


def entries_of(trial: OptimizationTrial) -> tuple[HistoryEntry, ...]:
    """Return every entry that the trial has earned so far, oldest first."""
    return tuple(_entries(trial))


def _entries(trial: OptimizationTrial) -> Iterator[HistoryEntry]:
    status = trial.status
    if status.started_at is not None:
        yield _entry(trial, LedgerEvent.TRIAL_STARTED, status.started_at, "Trial", trial.spec.hypothesis)
    if status.ended_at is not None and status.verdict is not Verdict.UNKNOWN:
        yield _entry(trial, LedgerEvent.TRIAL_ENDED, status.ended_at, status.verdict, status.reason)
    if status.phase in _ROLLED_OUT and status.verdict is Verdict.IMPROVED and status.changed_at is not None:
        yield _entry(trial, LedgerEvent.ROLLED_OUT, status.changed_at, "Improved", status.reason)
    if status.phase is TrialPhase.FINISHED and _was_taken_back(trial) and status.changed_at is not None:
        yield _entry(trial, LedgerEvent.ROLLED_BACK, status.changed_at, status.verdict, status.reason, back=True)


def _was_taken_back(trial: OptimizationTrial) -> bool:
    return bool(trial.status.changed) and trial.status.verdict is Verdict.REGRESSED


def _entry(
    trial: OptimizationTrial, what: LedgerEvent, at: datetime, reason: str, message: str, *, back: bool = False
) -> HistoryEntry:
    change, name = trial.spec.change, trial.metadata.name
    before, after = f"{change.knob} {change.from_}", f"{change.knob} {change.to}"
    return HistoryEntry(
        id=f"{what}-{trial.metadata.uid or name}"[:64],
        at=at,
        what=what,
        from_=after if back else before,
        to=before if back else after,
        why=why(reason, f"trial {name}: {message}"),
    )
