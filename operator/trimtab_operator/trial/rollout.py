"""Rolling a change out, and looking whether it holds.

Pods take the change in steps, each twice as many as have it; between two steps every one of them must run it and the
guards are looked at beside the pods that are still as they were. When all have it, it is watched for one more window:
a guard that is breached now and was not in the stable arm takes the change back.
"""

from __future__ import annotations

from trimtab_api.findings import Measure, ObjectiveState
from trimtab_api.objectives import GUARDS
from trimtab_api.trial import MAX_TRIAL_PODS, TrialPhase, TrialStatus, Verdict
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.arm_slots import within
from trimtab_operator.analysis.freeze import frozen_by
from trimtab_operator.analysis.goal_effect import BUSY, good_rates
from trimtab_operator.decision.engines import attachable_pods
from trimtab_operator.model.analysis import Attainment
from trimtab_operator.model.arms import Arms
from trimtab_operator.trial import texts
from trimtab_operator.trial.ending import ended
from trimtab_operator.trial.looks import look_at
from trimtab_operator.trial.measuring import judge_now
from trimtab_operator.trial.rollout_breach import aborted_at_once
from trimtab_operator.trial.stand import Stand

STEP_SHARE = 0.5  # of a window, for which a step is watched
LEAST_GAIN = 1.0
DURING, AFTER = "during the rollout: ", "after the rollout: "


def roll_out(stand: Stand) -> TrialStatus:
    """Give the change to more pods, or take it back; wait while pods have not answered, or the calendar says so."""
    return aborted_at_once(stand, DURING) or _next_step(stand)


def _next_step(stand: Stand) -> TrialStatus:
    status, target = stand.status, stand.target
    worse = _worse_than_the_rest(stand)
    if worse is not None:
        return _failed(stand, f"{DURING}{worse}")
    refusal = stand.refusal()
    if refusal is not None:
        return _failed(stand, f"during the rollout an engine refused the change: {refusal}")
    if not stand.all_run(status.changed, stand.trial.spec.canary) or not _may_go_on(stand):
        return status
    rest = [pod.uid for pod in attachable_pods(target) if pod.uid not in status.changed]
    now = texts.when(stand.now)
    if not rest:
        return status.model_copy(update={"phase": TrialPhase.VALIDATING, "changed_at": now})
    if len(status.changed) > 1 and stand.seconds_since(status.changed_at) < _step_seconds(stand):
        return status
    more = rest[: max(1, len(status.changed))]
    return status.model_copy(update={"changed": (*status.changed, *more)[:MAX_TRIAL_PODS], "changed_at": now})


def validate(stand: Stand) -> TrialStatus:
    """Finish when the change has held for a window, take it back when it does not hold."""
    return aborted_at_once(stand, AFTER) or _validated(stand)


def _validated(stand: Stand) -> TrialStatus:
    since = stand.seconds_since(stand.status.changed_at)
    if since < trial_time.window(stand.trial.spec.rules) + trial_time.settling(stand.scrape_seconds):
        return stand.status
    if not stand.analysis.trust.trusted or stand.snapshot.arms is None:
        return stand.status
    broken = _broken_guard(stand) or _lost_gain(stand, stand.snapshot.arms)
    if broken is not None:
        return _failed(stand, f"{AFTER}{broken}")
    return stand.status.model_copy(update={"phase": TrialPhase.FINISHED})


def _may_go_on(stand: Stand) -> bool:
    return stand.analysis.trust.trusted and frozen_by(stand.policy.spec, stand.now) is None


def _step_seconds(stand: Stand) -> float:
    return STEP_SHARE * trial_time.window(stand.trial.spec.rules) + trial_time.settling(stand.scrape_seconds)


def _worse_than_the_rest(stand: Stand) -> str | None:
    """Return why the changed pods must not have it, beside those that have it not; None where there are none of one."""
    arms = stand.snapshot.arms
    if arms is None or not arms.stable or not stand.analysis.trust.trusted:
        return None
    judgement = judge_now(stand, arms, look_at(0.0, stand.trial.spec.rules))
    return judgement.reason if judgement.violation else None


def _failed(stand: Stand, reason: str) -> TrialStatus:
    return ended(stand, Verdict.REGRESSED, reason, violation=True)


def _broken_guard(stand: Stand) -> str | None:
    """Return a guard that is violated now and was not when the trial began."""
    baseline = stand.policy.status.baseline
    kept = {result.name for result in baseline.objectives if result.met is ObjectiveState.MET} if baseline else set()
    for result in stand.analysis.objectives:
        if result.name in GUARDS and result.attainment is Attainment.VIOLATED and result.name in kept:
            return f"{result.name} is violated ({result.value}, limit {result.limit:g}) and was met before"
    return None


def _lost_gain(stand: Stand, arms: Arms) -> str | None:
    """Return that an answer costs more than in the stable arm of the trial; None where it does not, or is not known."""
    row = next((each for each in stand.status.observed if each.measure is Measure.THROUGHPUT), None)
    changed = stand.status.changed_at
    if row is None or row.stable is None or changed is None:
        return None
    begin = changed.timestamp() + trial_time.settling(stand.scrape_seconds)
    slots = within(good_rates(arms, arms.canary, BUSY.spent), arms, begin, stand.now)
    busy, good = sum(spent for spent, _ in slots), sum(answers for _, answers in slots)
    if busy <= 0.0 or good / busy >= LEAST_GAIN * float(row.stable):
        return None
    return f"{good / busy:.3g} answers for each busy second, fewer than the {row.stable} of the stable arm before"
