"""The life cycle of an optimization, as one total match.

Discovery        what is normal now?      left when a baseline over the whole observation window exists.
Analysis         what limits it?          left when a trusted tick has named the bottleneck.
Strategy         what should we try?      while a trial is made, started and measured.
Implementation   roll the winner out.     while ever more pods take the change.
RollingBack      take it back.            while pods take back what they had.
Validation       does it still hold?      steady; scaling goes on, as in every phase.
A changed target ends a trial and leads to Discovery, and so does, where no trial is under way, a changed load.
"""

from __future__ import annotations

from trimtab_api.policy_status import Phase, PolicyStatus
from trimtab_api.trial import TrialPhase
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.trial.reopening import reopens
from trimtab_operator.trial.steer import Course

_OF_TRIAL = {
    TrialPhase.UNKNOWN: Phase.STRATEGY,
    TrialPhase.AWAITING_APPROVAL: Phase.STRATEGY,
    TrialPhase.RUN_IN: Phase.STRATEGY,
    TrialPhase.STARTING: Phase.STRATEGY,
    TrialPhase.SHADOW: Phase.STRATEGY,
    TrialPhase.MEASURING: Phase.STRATEGY,
    TrialPhase.ROLLING_OUT: Phase.IMPLEMENTATION,
    TrialPhase.VALIDATING: Phase.VALIDATION,
    TrialPhase.REVERTING: Phase.ROLLING_BACK,
}


def next_phase(phase: Phase | None, analysis: Analysis, status: PolicyStatus, course: Course) -> Phase:
    """Return the phase after this tick."""
    if course.phase is not None:
        return _OF_TRIAL[course.phase]
    if reopens(analysis, course):
        return Phase.DISCOVERY
    return _just_made(course) or _without_trial(phase, analysis, status)


def _just_made(course: Course) -> Phase | None:
    return Phase.STRATEGY if course.record is not None and course.record.body is not None else None


def _without_trial(phase: Phase | None, analysis: Analysis, status: PolicyStatus) -> Phase:
    match phase:
        case None | Phase.UNKNOWN:
            return Phase.DISCOVERY
        case Phase.DISCOVERY:
            known = status.baseline is not None or analysis.baseline is not None
            return Phase.ANALYSIS if known else Phase.DISCOVERY
        case Phase.ANALYSIS:
            return Phase.VALIDATION if analysis.bottleneck is not None else Phase.ANALYSIS
    return Phase.VALIDATION
