"""How a trial ends: with a verdict and a reason, by way of a roll back where pods have the change."""

from __future__ import annotations

from trimtab_api.trial import TrialPhase, TrialStatus, Verdict
from trimtab_operator.trial import texts
from trimtab_operator.trial.stand import Stand


def ended(stand: Stand, verdict: Verdict, reason: str, *, violation: bool = False) -> TrialStatus:
    """Return the status of a trial that ends now and whose pods are taken back to what they had."""
    now = texts.when(stand.now)
    return stand.status.model_copy(
        update={
            "phase": TrialPhase.REVERTING if stand.status.changed else TrialPhase.FINISHED,
            "verdict": verdict,
            "reason": reason[: texts.SENTENCE],
            "violations": stand.status.violations + int(violation),
            "ended_at": now,
            "changed_at": now,
        }
    )


def left(stand: Stand, verdict: Verdict, reason: str) -> TrialStatus:
    """Return the status of a trial that ends now without a write to any pod: they are not what was tried any more."""
    return ended(stand, verdict, reason).model_copy(update={"phase": TrialPhase.FINISHED})
