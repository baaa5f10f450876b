"""A trial that a sudden breach ends: why, in which pods, and what was seen of both arms in the scrapes that tell it."""

from __future__ import annotations

from trimtab_api.trial import TrialStatus, Verdict
from trimtab_operator.model.comparison import SuddenBreach
from trimtab_operator.trial.ending import ended
from trimtab_operator.trial.judge import breach
from trimtab_operator.trial.observed import newer, rows, summary_of_breach
from trimtab_operator.trial.stand import Stand

NAMED = 3  # pods; more would hide the figures


def aborted(stand: Stand, found: SuddenBreach, pods: tuple[str, ...], when: str = "") -> TrialStatus:
    """Return the status of a trial whose changed pods of these names suddenly break a guard."""
    reason = f"{when}{breach(found.guard)}, in the last two scrapes of {_names(pods)}"
    over = ended(stand, Verdict.REGRESSED, reason, violation=True)
    return over.model_copy(
        update={
            "observed": newer(stand.status.observed, rows(found.beside)),
            "observed_summary": summary_of_breach(found.guard),
        }
    )


def _names(pods: tuple[str, ...]) -> str:
    more = len(pods) - NAMED
    return ", ".join(pods[:NAMED]) + (f" and {more} more" if more > 0 else "")
