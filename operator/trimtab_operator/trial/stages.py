"""The stages of a trial, one function each: what becomes of the trial in this tick.

Unknown            just made                          → AwaitingApproval, RunIn
AwaitingApproval   a person has to say yes            → RunIn, Finished (Denied)
RunIn              both arms alike, being measured    → Starting, Shadow
Starting           the canary takes the change        → Measuring, Reverting (FailedToStart)
Shadow             its engine compares answers first  → Measuring, Reverting (FailedToStart)
Measuring          the arms differ by the change      → RollingOut (Improved), Reverting   (measuring.py, turns.py)
RollingOut         ever more pods take the change     → Validating, Reverting        (rollout.py)
Validating         all pods have it: does it hold?    → Finished, Reverting          (rollout.py)
Reverting          pods take back what they had       → Finished
"""

from __future__ import annotations

from collections.abc import Callable

from trimtab_api.policy_status import Tuning
from trimtab_api.trial import Arm, TrialApproval, TrialPhase, TrialStatus, Verdict
from trimtab_api.trial_rules import Approval
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.freeze import frozen_by
from trimtab_operator.decision.shadow import is_shadowed
from trimtab_operator.trial import measuring, texts
from trimtab_operator.trial.ending import ended
from trimtab_operator.trial.rollout import roll_out, validate
from trimtab_operator.trial.stand import Stand, alike_from
from trimtab_operator.trial.times import long_enough
from trimtab_operator.trial.tuning import tuning_of
from trimtab_operator.trial.turns import period_seconds, take_turns

RUN_IN = (
    "both arms are measured while they are alike, until a gain of 15 % would be told, or maxWindow and a window pass"
)
SHADOW = "the canary's engine compares the change's answers with the unmodified model's before it gives any"
RUN_IN_ALONE = "the pod is measured for a window as it runs, before old and new settings take turns"


def next_status(stand: Stand) -> TrialStatus:
    """Return the status of the trial after this tick; the stored one where nothing happens."""
    return STAGES[stand.status.phase](stand)


def _made(stand: Stand) -> TrialStatus:
    if stand.trial.spec.rules.approval is Approval.REQUIRED:
        return _approval(stand)
    return stand.status.model_copy(update={"phase": TrialPhase.RUN_IN})


def _approval(stand: Stand) -> TrialStatus:
    said, by = stand.trial.spec.approval, stand.snapshot.approvers.get(stand.trial.metadata.name)
    if said is None:
        waiting = f"set spec.approval of trial {stand.trial.metadata.name} to Approved or Denied"
        return stand.status.model_copy(update={"phase": TrialPhase.AWAITING_APPROVAL, "reason": waiting})
    heard = {"approved_by": by}
    if said is TrialApproval.DENIED:
        denied = ended(stand, Verdict.DENIED, f"denied by {by or 'a person'}")
        return denied.model_copy(update=heard)
    return stand.status.model_copy(update={"phase": TrialPhase.RUN_IN, "reason": "", **heard})


def _run_in(stand: Stand) -> TrialStatus:
    """Start once both arms have been alike for long enough; that time may lie before the trial was made."""
    if not _alike_long_enough(stand):
        return stand.status.model_copy(update={"reason": RUN_IN_ALONE if stand.by_turns else RUN_IN})
    if not stand.analysis.trust.trusted or frozen_by(stand.policy.spec, stand.now) is not None:
        return stand.status
    now = texts.when(stand.now)
    canaries = tuple(pod.uid for pod in stand.trial.spec.pods if pod.arm is Arm.CANARY)
    shadowed = is_shadowed(stand.trial.spec.change.knob)
    phase, reason = (TrialPhase.SHADOW, SHADOW) if shadowed else (TrialPhase.STARTING, "")
    return stand.status.model_copy(
        update={"phase": phase, "reason": reason, "started_at": now, "changed": canaries, "changed_at": now}
    )


def _alike_long_enough(stand: Stand) -> bool:
    # The goal of a switchback is judged by pairs of periods, not against the run-in: a window is enough for its guards.
    arms = None if stand.by_turns else stand.snapshot.arms
    return long_enough(stand.trial.spec.rules, arms, stand.policy.spec.goal, alike_from(stand), stand.now)


def _starting(stand: Stand) -> TrialStatus:
    for uid in stand.status.changed:
        refusal = stand.refusal_by(uid)
        if refusal is not None:
            return ended(stand, Verdict.FAILED_TO_START, f"the engine refused the change: {refusal}")
    if stand.all_run(stand.status.changed, stand.trial.spec.canary):
        begins = measuring.measured_from(stand)
        period = period_seconds(stand) if stand.by_turns else None
        begun = {"phase": TrialPhase.MEASURING, "reason": "", "measured_from": begins, "period_seconds": period}
        return stand.status.model_copy(update=begun | {"changed_at": texts.when(stand.now)})
    working = _under_way(stand)
    limit = trial_time.start_limit(stand.trial.spec.change.knob) if working else trial_time.START_LIMIT
    if stand.seconds_since(stand.status.changed_at) > limit:
        reason = f"the engine did not report the change within {limit:g} s"
        if working:
            reason = f"the engine was still at it after {limit:g} s: {working}"
        return ended(stand, Verdict.FAILED_TO_START, reason)
    return stand.status


def _shadow(stand: Stand) -> TrialStatus:
    """Start a change that its engine checks first: say what it works on, and keep what it found."""
    status, working = _starting(stand), _under_way(stand)
    if status.phase is TrialPhase.SHADOW and working:
        return status.model_copy(update={"reason": f"{SHADOW}; {working}"})
    found = (stand.engine(uid).shadowed(stand.trial.spec.change) for uid in stand.status.changed)
    return status.model_copy(update={"shadow": next(filter(None, found), None)})


def _under_way(stand: Stand) -> str | None:
    """Return what an engine that was given the change still works on; None where none does."""
    said = (stand.engine(uid).under_way() for uid in stand.status.changed)
    return next(filter(None, said), None)


def _measuring(stand: Stand) -> TrialStatus:
    measured = measuring.measure(stand)
    return take_turns(stand, measured) if stand.by_turns else measured


def _reverting(stand: Stand) -> TrialStatus:
    """Wait for the pods to run what they had; one that does not answer goes back by itself when its time is over."""
    stored = stand.policy.status.tuning or Tuning(settings=stand.trial.spec.stable)
    restored = tuning_of(stand.trial, stored, stand.policy.status.last_known_good, stand.scrape_seconds).settings
    waited = stand.seconds_since(stand.status.changed_at)
    if stand.all_run(stand.status.changed, restored) or waited > trial_time.START_LIMIT:
        return stand.status.model_copy(update={"phase": TrialPhase.FINISHED})
    return stand.status


def _finished(stand: Stand) -> TrialStatus:
    return stand.status


STAGES: dict[TrialPhase, Callable[[Stand], TrialStatus]] = {
    TrialPhase.UNKNOWN: _made,
    TrialPhase.AWAITING_APPROVAL: _approval,
    TrialPhase.RUN_IN: _run_in,
    TrialPhase.STARTING: _starting,
    TrialPhase.SHADOW: _shadow,
    TrialPhase.MEASURING: _measuring,
    TrialPhase.ROLLING_OUT: roll_out,
    TrialPhase.VALIDATING: validate,
    TrialPhase.REVERTING: _reverting,
    TrialPhase.FINISHED: _finished,
}
