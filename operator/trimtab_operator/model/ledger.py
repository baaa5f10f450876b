"""Reading the ledger in a policy's status: what changed last, and why. An entry's why is `Reason: sentence`."""

from __future__ import annotations

from trimtab_api.policy_status import HistoryEntry, LedgerEvent, PolicyStatus


def why(reason: str, message: str) -> str:
    """Put a reason and its sentence into one text that `reason_in` can read."""
    return f"{reason}: {message}"[:1024]


def reason_in(text: str) -> str:
    """Return the reason in such a text, of an entry or of an intent."""
    return text.partition(":")[0]


def reason_of(entry: HistoryEntry) -> str:
    """Return the reason of an entry."""
    return reason_in(entry.why)


def replica_changes(status: PolicyStatus) -> tuple[HistoryEntry, ...]:
    """Return the entries that changed replicas, ours and others', oldest first."""
    return tuple(entry for entry in status.history if entry.what in (LedgerEvent.SCALED, LedgerEvent.FOREIGN_EDIT))


def scaled(status: PolicyStatus, reason: str) -> tuple[HistoryEntry, ...]:
    """Return our own scalings with this reason, oldest first."""
    return tuple(entry for entry in status.history if entry.what is LedgerEvent.SCALED and reason_of(entry) == reason)


def last_change_at(status: PolicyStatus) -> float | None:
    """Return when replicas last changed (unix seconds), None if the ledger holds no change."""
    changes = replica_changes(status)
    return changes[-1].at.timestamp() if changes else None


def foreign_edits(status: PolicyStatus, since: float) -> tuple[HistoryEntry, ...]:
    """Return the edits of others noticed since a time (unix seconds), oldest first."""
    return tuple(
        entry for entry in status.history if entry.what is LedgerEvent.FOREIGN_EDIT and entry.at.timestamp() >= since
    )
