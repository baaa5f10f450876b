"""What ends a trial from outside, whatever its measurements say; looked at before every stage, in this order."""

from __future__ import annotations

from collections.abc import Callable

from trimtab_api.policy_spec import Mode
from trimtab_api.trial import Arm, TrialPhase, TrialStatus, Verdict
from trimtab_operator.analysis import trial_time
from trimtab_operator.trial.ending import ended, left
from trimtab_operator.trial.stand import Stand

_CHANGED = (TrialPhase.STARTING, TrialPhase.SHADOW, TrialPhase.MEASURING)
_TESTING = (TrialPhase.RUN_IN, *_CHANGED)
_PENDING = (TrialPhase.UNKNOWN, TrialPhase.AWAITING_APPROVAL, *_TESTING)


def interrupted(stand: Stand) -> TrialStatus | None:
    """Return the status of a trial that something from outside ends; None where it goes on."""
    if stand.status.phase is TrialPhase.REVERTING:
        return None
    for rule in _RULES:
        found = rule(stand)
        if found is not None:
            return found
    return None


def _target_changed(stand: Stand) -> TrialStatus | None:
    """End it without a write: the pods of a new template, or of another Deployment, are not those of the trial."""
    was, target = stand.trial.spec.target, stand.target
    if was.uid == target.uid and was.template_hash == target.template_hash:
        return None
    what = "the target was made anew" if was.uid != target.uid else "the pod template of the target changed"
    return left(stand, Verdict.TARGET_CHANGED, f"{what} while the trial was under way")


def _not_wanted(stand: Stand) -> TrialStatus | None:
    if stand.status.phase not in _PENDING:
        return None
    if stand.policy.spec.mode is not Mode.APPLY:
        return ended(stand, Verdict.INCONCLUSIVE, f"spec.mode of the policy became {stand.policy.spec.mode}")
    if stand.policy.spec.rollback_to is not None:
        reason = f"spec.rollbackTo of the policy asks for {stand.policy.spec.rollback_to}"
        return ended(stand, Verdict.INCONCLUSIVE, reason)
    if stand.snapshot.taken_by is not None:
        return ended(stand, Verdict.INCONCLUSIVE, f"policy {stand.snapshot.taken_by} is older and owns the target")
    if stand.snapshot.max_mode == "Recommend":
        return ended(stand, Verdict.INCONCLUSIVE, "the cluster's maxMode became Recommend")
    return None


def _pod_lost(stand: Stand) -> TrialStatus | None:
    """End it where a pod of an arm went or started anew: it is not comparable, and nobody's guard was breached."""
    if stand.status.phase not in _TESTING:
        return None
    for pod in stand.trial.spec.pods:
        if not stand.lives(pod.uid) and (pod.arm is Arm.CANARY or not _other_stable(stand, pod.uid)):
            return ended(stand, Verdict.INCONCLUSIVE, f"{pod.arm} pod {pod.name} is gone")
        if _started_anew(stand, pod.uid):
            return ended(stand, Verdict.INCONCLUSIVE, f"{pod.arm} pod {pod.name} started anew during the trial")
    return None


def _started_anew(stand: Stand, uid: str) -> bool:
    living, began = stand.pod(uid), stand.status.started_at
    return living is not None and began is not None and (living.started_at or 0.0) > began.timestamp()


def _other_stable(stand: Stand, uid: str) -> bool:
    stable = (pod.uid for pod in stand.trial.spec.pods if pod.arm is Arm.STABLE and pod.uid != uid)
    return any(stand.lives(each) for each in stable)


def _taken_back(stand: Stand) -> TrialStatus | None:
    """End it where an engine went back by itself: its answers no longer agree with the unmodified model as asked."""
    refusal = stand.refusal() if stand.status.phase in (TrialPhase.MEASURING, TrialPhase.VALIDATING) else None
    if refusal is None:
        return None
    return ended(stand, Verdict.REGRESSED, f"an engine took the change back: {refusal}", violation=True)


def _expired(stand: Stand) -> TrialStatus | None:
    """End it where the engine has gone back by itself, for instance while no operator was there."""
    limit = trial_time.expiry(stand.trial.spec.rules, stand.scrape_seconds, stand.trial.spec.change.knob)
    if stand.status.phase not in _CHANGED or stand.seconds_since(stand.status.started_at) < limit:
        return None
    return ended(stand, Verdict.INCONCLUSIVE, "the time of the trial ran out before a verdict was reached")


_RULES: tuple[Callable[[Stand], TrialStatus | None], ...] = (
    _target_changed,
    _not_wanted,
    _pod_lost,
    _taken_back,
    _expired,
)
