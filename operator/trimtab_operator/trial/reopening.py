"""What leads back to Discovery: a target, or a load, that is no longer the one that was measured."""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import HistoryEntry, LedgerEvent
from trimtab_operator.model.analysis import Analysis, Drift
from trimtab_operator.model.ledger import why
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial import texts
from trimtab_operator.trial.steer import Course

_WHAT = {Signal.INPUT_TOKENS: "an input", Signal.OUTPUT_TOKENS: "an answer"}


def load_changed(analysis: Analysis, course: Course) -> Drift | None:
    """Return by what the load differs from that of the baseline; a trial under way is brought to its end before."""
    return analysis.drift if course.phase is None else None


def reopens(analysis: Analysis, course: Course) -> bool:
    """Say whether this tick leads back to Discovery, and the baseline goes."""
    return course.rediscover or load_changed(analysis, course) is not None


def sentence(drift: Drift) -> str:
    """Say by what the load differs."""
    before, now = texts.decimal(drift.before), texts.decimal(drift.now)
    return f"{_WHAT[drift.signal]} has {now} tokens, {before} when the baseline was taken"


def entries(analysis: Analysis, course: Course, policy: OptimizationPolicy, now: float) -> tuple[HistoryEntry, ...]:
    """Return what the ledger says of it at `now` (unix seconds); the same entry for the same baseline."""
    drift, baseline = load_changed(analysis, course), policy.status.baseline
    if drift is None or baseline is None:
        return ()
    entry = HistoryEntry(
        id=f"{LedgerEvent.LOAD_CHANGED}-{baseline.to.timestamp():.0f}",
        at=texts.when(now),
        what=LedgerEvent.LOAD_CHANGED,
        from_=f"{texts.decimal(drift.before)} tokens",
        to=f"{texts.decimal(drift.now)} tokens",
        why=why("Drift", f"{sentence(drift)}: what is normal is measured anew"),
    )
    return (entry,)
