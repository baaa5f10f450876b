"""The ledger in status: what is kept whole, and what of the older entries is counted."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW
from fakes.ledger import an_entry, stamp

from trimtab_api.policy_status import MAX_HISTORY, HistoryEntry, HistorySummary, PolicyStatus
from trimtab_operator.trial.ledger import extend

KINDS = ("Scaled", "RolledOut", "RolledBack", "ForeignEdit", "LoadChanged", "Scaled")
EARLIER: dict[str, Any] = {
    "count": 40,
    "since": stamp(NOW - 90_000.0),
    "until": stamp(NOW - 80_000.0),
    "scaled": 10,
    "rolledOut": 20,
    "rolledBack": 3,
    "foreignEdits": 5,
}


def entries(first: int, count: int) -> tuple[HistoryEntry, ...]:
    """Entries e<first> …, a second apart, of all kinds in turn."""
    return tuple(
        HistoryEntry.model_validate(an_entry(id=f"e{number}", what=KINDS[number % len(KINDS)], at=NOW + number))
        for number in range(first, first + count)
    )


def status(held: int, summary: dict[str, Any] | None = None) -> PolicyStatus:
    return PolicyStatus.model_validate({"history": entries(0, held), "historySummary": summary})


@pytest.mark.parametrize("held", [0, MAX_HISTORY - 1])
def test_what_fits_is_kept_whole_and_nothing_is_counted(held: int) -> None:
    history, summary = extend(status(held), entries(held, 1))
    assert (history, summary) == (entries(0, held + 1), None)


def test_an_entry_that_is_there_already_is_the_same_write_seen_twice() -> None:
    history, summary = extend(status(MAX_HISTORY), (*entries(3, 2), *entries(MAX_HISTORY, 1)))
    assert history == entries(1, MAX_HISTORY)
    assert summary is not None
    assert summary.count == 1


def test_the_oldest_that_no_longer_fit_are_counted_by_kind_with_their_first_and_last_time() -> None:
    history, summary = extend(status(MAX_HISTORY), entries(MAX_HISTORY, 6))
    assert history == entries(6, MAX_HISTORY)
    left = {"scaled": 2, "rolledOut": 1, "rolledBack": 1, "foreignEdits": 1}
    counted = {"count": 6, "since": stamp(NOW), "until": stamp(NOW + 5.0)} | left
    assert summary == HistorySummary.model_validate(counted)


def test_what_leaves_later_is_added_to_what_left_before() -> None:
    _, summary = extend(status(MAX_HISTORY, EARLIER), entries(MAX_HISTORY, 6))
    counted = {"count": 46, "scaled": 12, "rolledOut": 21, "rolledBack": 4, "foreignEdits": 6}
    assert summary == HistorySummary.model_validate(EARLIER | counted | {"until": stamp(NOW + 5.0)})


def test_while_nothing_leaves_the_count_of_what_left_stays_as_it_is() -> None:
    assert extend(status(3, EARLIER), entries(3, 1))[1] == HistorySummary.model_validate(EARLIER)
