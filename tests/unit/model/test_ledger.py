"""Reading the ledger."""

from __future__ import annotations

from typing import Any

from fakes.builders import NOW, a_policy
from fakes.ledger import an_entry

from trimtab_operator.model import ledger


def status(*entries: dict[str, Any]) -> Any:
    return a_policy(status={"history": list(entries)}).status


def test_the_reason_of_an_entry_can_be_read_back() -> None:
    held = status(an_entry(why=ledger.why("GpuMemory", "a: b")))
    assert [ledger.reason_of(entry) for entry in held.history] == ["GpuMemory"]
    assert [entry.id for entry in ledger.scaled(held, "GpuMemory")] == ["e"]
    assert ledger.scaled(held, "Utilization") == ()


def test_replica_changes_are_ours_and_those_of_others() -> None:
    held = status(
        an_entry(id="a", what="Scaled", at=NOW - 30.0),
        an_entry(id="b", what="TrialEnded"),
        an_entry(id="c", what="ForeignEdit", at=NOW - 10.0),
    )
    assert [entry.id for entry in ledger.replica_changes(held)] == ["a", "c"]
    assert ledger.last_change_at(held) == NOW - 10.0
    assert ledger.last_change_at(status()) is None
    assert [entry.id for entry in ledger.foreign_edits(held, NOW - 20.0)] == ["c"]
    assert ledger.foreign_edits(held, NOW) == ()


def test_a_long_reason_is_cut_to_what_the_api_takes() -> None:
    assert len(ledger.why("A", "x" * 5000)) == 1024
