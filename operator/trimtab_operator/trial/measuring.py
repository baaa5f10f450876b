"""Measuring and judging: the arms as they compare now, and the verdict when a look is due."""

from __future__ import annotations

import math
from datetime import datetime

from trimtab_api.trial import TrialPhase, TrialStatus, Verdict
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.comparison import compare
from trimtab_operator.analysis.goal_effect import least_load
from trimtab_operator.analysis.sudden_breach import sudden_breach
from trimtab_operator.analysis.sudden_breach_by_turns import sudden_breach_by_turns
from trimtab_operator.analysis.switchback import compare_periods
from trimtab_operator.model.arms import Arms, TrialTimes
from trimtab_operator.model.comparison import SuddenBreach
from trimtab_operator.trial import texts
from trimtab_operator.trial.abort import aborted
from trimtab_operator.trial.ending import ended
from trimtab_operator.trial.judge import Judgement, judge
from trimtab_operator.trial.looks import Look, look_at
from trimtab_operator.trial.stand import Stand, alike_from
from trimtab_operator.trial.times import times_at


def measure(stand: Stand) -> TrialStatus:
    """Judge the trial; without data it waits, and ends Inconclusive after its longest time."""
    elapsed = stand.seconds_since(stand.status.measured_from)
    if stand.snapshot.arms is None or not stand.analysis.trust.trusted:
        return _without_data(stand, elapsed)
    sudden = _sudden_breach(stand, stand.snapshot.arms)
    if sudden is not None:
        return aborted(stand, sudden, stand.snapshot.arms.canary)
    return stand.status if elapsed < 0.0 else _judged(stand, stand.snapshot.arms, elapsed)


def _judged(stand: Stand, arms: Arms, elapsed: float) -> TrialStatus:
    """Judge the arms over all that was measured."""
    look = _look_of(stand, elapsed)
    judgement = judge_now(stand, arms, look)
    if judgement.verdict is Verdict.IMPROVED:
        return _improved(stand, judgement)
    if judgement.verdict is not None:
        over = ended(stand, judgement.verdict, judgement.reason, violation=judgement.violation)
        return over.model_copy(update=_seen(judgement, look))
    if look.number == stand.status.looks:
        return stand.status
    return stand.status.model_copy(update={"reason": judgement.reason[: texts.SENTENCE], **_seen(judgement, look)})


def _sudden_breach(stand: Stand, arms: Arms) -> SuddenBreach | None:
    """Return a guard that the canary breaks so badly that two scrapes tell it, settled or not."""
    objectives = stand.policy.spec.objectives
    if stand.by_turns:
        return sudden_breach_by_turns(arms, objectives)
    return sudden_breach(arms, times_of(stand, look_at(0.0, stand.trial.spec.rules)), objectives)


def measured_from(stand: Stand) -> datetime:
    """Return when the measurement begins of a change that is in force now: after settling, at the edge of a slot."""
    slot = _slot_seconds(stand)
    return texts.when(math.ceil((stand.now + trial_time.settling(stand.scrape_seconds)) / slot) * slot)


def _slot_seconds(stand: Stand) -> int:
    if stand.by_turns:
        return trial_time.short_slot(stand.scrape_seconds)
    return trial_time.slot(stand.trial.spec.rules, stand.scrape_seconds)


def _look_of(stand: Stand, elapsed: float) -> Look:
    """Return the newest look that is due after so many seconds of measurement.

    That at a switchback waits for a slot more, so that the period which ends at that moment counts whole.
    """
    late = _slot_seconds(stand) if stand.by_turns else 0
    return look_at(elapsed - late, stand.trial.spec.rules)


def judge_now(stand: Stand, arms: Arms, look: Look) -> Judgement:
    """Compare the arms and judge them at a look."""
    spec = stand.policy.spec
    comparison = (compare_periods if stand.by_turns else compare)(
        arms,
        times_of(stand, look),
        now=stand.now,
        goal=spec.goal,
        objectives=spec.objectives,
        confidence=look.confidence,
    )
    return judge(comparison, stand.trial.spec.rules, look, least_load(stand.trial.spec.change.knob))


def _improved(stand: Stand, judgement: Judgement) -> TrialStatus:
    """Return the status of a trial that is to be rolled out."""
    now = texts.when(stand.now)
    return stand.status.model_copy(
        update={
            "phase": TrialPhase.ROLLING_OUT,
            "verdict": Verdict.IMPROVED,
            "reason": judgement.reason[: texts.SENTENCE],
            "observed": judgement.observed,
            "observed_summary": judgement.summary,
            "ended_at": now,
            "changed_at": now,
        }
    )


def times_of(stand: Stand, look: Look) -> TrialTimes:
    """Return what a look at the trial compares."""
    status = stand.status
    changed = status.started_at.timestamp() if status.started_at else stand.now
    settled = status.measured_from.timestamp() if status.measured_from else stand.now
    return times_at(look, stand.trial.spec.rules, alike_from(stand), changed, settled)


def _seen(judgement: Judgement, look: Look) -> dict[str, object]:
    return {"observed": judgement.observed, "observed_summary": judgement.summary, "looks": look.number}


def _without_data(stand: Stand, elapsed: float) -> TrialStatus:
    if elapsed <= trial_time.longest_window(stand.trial.spec.rules):
        return stand.status
    return ended(stand, Verdict.INCONCLUSIVE, f"no trusted measurements: {stand.analysis.trust.message}")
