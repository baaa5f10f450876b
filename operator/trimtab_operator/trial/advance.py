"""Front door: the next step of a policy.

A step persists an intent or acts, never both; each act stood in status before.
"""

from __future__ import annotations

from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import HistoryEntry, Intent, Phase
from trimtab_api.quantities import parse_duration_seconds
from trimtab_api.trial import TrialPhase
from trimtab_operator.decision.decide import decide
from trimtab_operator.model.action import Step
from trimtab_operator.model.analysis import Analysis
from trimtab_operator.model.decision import Change, Decision
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.trial import reopening
from trimtab_operator.trial.announce import announce
from trimtab_operator.trial.conditions import Told
from trimtab_operator.trial.details import with_details
from trimtab_operator.trial.intent import Outcome, intend, resolve
from trimtab_operator.trial.ledger import extend
from trimtab_operator.trial.materiality import due
from trimtab_operator.trial.phases import next_phase
from trimtab_operator.trial.prune import prune
from trimtab_operator.trial.status import compose
from trimtab_operator.trial.steer import Course, steer

_WAITING = (TrialPhase.UNKNOWN, TrialPhase.STARTING, TrialPhase.REVERTING)
SOON_SECONDS = 1.0  # after a write or a foreign edit: look at once what came of it


def advance(phase: Phase | None, snapshot: Snapshot, analysis: Analysis, policy: OptimizationPolicy) -> Step:
    """Take one step. Pure: equal inputs give equal steps; the same step twice changes nothing more."""
    decision = decide(snapshot, analysis, policy)
    outcome = resolve(snapshot, decision, policy)
    if outcome.action is not None:
        return Step(status=None, actions=(outcome.action,), events=(), requeue_seconds=SOON_SECONDS)
    noted = _note(policy, outcome.entries)
    if outcome.entries:  # what this tick notes is known to the decision that it shows
        decision = decide(snapshot, analysis, noted)
    intent = _intent(outcome, decision, snapshot, noted)
    course = steer(snapshot, analysis, noted)
    noted = _note(noted, (*course.entries, *reopening.entries(analysis, course, noted, snapshot.now)))
    told = Told(
        phase=next_phase(phase, analysis, policy.status, course),
        snapshot=snapshot,
        analysis=analysis,
        decision=decision,
        policy=noted,
        intent=intent,
        course=course,
    )
    status = compose(told)
    interval = parse_duration_seconds(policy.spec.observation.interval)
    if not due(policy.status, status, analysis, snapshot.now):
        actions = () if course.record else prune(policy, snapshot)
        return Step(None, actions, events=(), requeue_seconds=_rhythm(course, interval), trial=course.record)
    status = with_details(status, analysis, policy)
    return Step(
        status=status.to_body(),
        actions=(),
        events=(*outcome.events, *announce(policy.status, status)),
        requeue_seconds=min(_pause(intent, outcome, interval), _rhythm(course, interval)),
        trial=course.record,
    )


def _note(policy: OptimizationPolicy, entries: tuple[HistoryEntry, ...]) -> OptimizationPolicy:
    """Return the policy with the new entries in its ledger."""
    if not entries:
        return policy
    history, summary = extend(policy.status, entries)
    status = policy.status.model_copy(update={"history": history, "history_summary": summary})
    return policy.model_copy(update={"status": status})


def _intent(outcome: Outcome, decision: Decision, snapshot: Snapshot, policy: OptimizationPolicy) -> Intent | None:
    """Return the intent to persist: none while an older one ends or others' edits are noted in this step."""
    settled = not outcome.entries and policy.status.intent is None
    if not settled or isinstance(snapshot.target, TargetProblem) or not isinstance(decision, Change):
        return outcome.keep
    return intend(decision, snapshot, snapshot.target, policy)


def _pause(intent: Intent | None, outcome: Outcome, interval: float) -> float:
    if intent is not None and outcome.keep is None:
        return 0.0
    return min(SOON_SECONDS, interval) if outcome.entries else interval


def _rhythm(course: Course, interval: float) -> float:
    """Look again at once after a trial moved, soon while an engine is waited for, else as the trial wants it."""
    if course.record is not None:
        return 0.0
    attaching = course.held is not None and course.held[0] == "Attaching"
    if attaching or course.phase in _WAITING:
        return min(SOON_SECONDS, interval)
    return min(course.pause_seconds, interval)
