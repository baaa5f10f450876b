"""The ledger in status: the last 20 entries, and a count of the older ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from trimtab_api.policy_status import MAX_HISTORY, HistoryEntry, HistorySummary, LedgerEvent, PolicyStatus


def extend(
    status: PolicyStatus, entries: Iterable[HistoryEntry]
) -> tuple[tuple[HistoryEntry, ...], HistorySummary | None]:
    """Add entries; an entry whose id is already there is the same write seen twice, and is left out."""
    known = {entry.id for entry in status.history}
    history = (*status.history, *(entry for entry in entries if entry.id not in known))
    overflow = history[: max(0, len(history) - MAX_HISTORY)]
    return history[len(overflow) :], _summarize(status.history_summary, overflow)


def _summarize(before: HistorySummary | None, left: tuple[HistoryEntry, ...]) -> HistorySummary | None:
    if not left:
        return before
    counts = Counter(entry.what for entry in left)
    return HistorySummary(
        count=len(left) + (before.count if before else 0),
        since=before.since if before else left[0].at,
        until=left[-1].at,
        scaled=counts[LedgerEvent.SCALED] + (before.scaled if before else 0),
        rolled_out=counts[LedgerEvent.ROLLED_OUT] + (before.rolled_out if before else 0),
        rolled_back=counts[LedgerEvent.ROLLED_BACK] + (before.rolled_back if before else 0),
        foreign_edits=counts[LedgerEvent.FOREIGN_EDIT] + (before.foreign_edits if before else 0),
    )
