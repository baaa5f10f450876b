"""What a trial leaves in the policy's ledger."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW, a_trial, at

from trimtab_operator.trial.trial_ledger import entries_of

STARTED = {"startedAt": at(), "changed": ["uid-chat-0"], "changedAt": at(300.0)}
ENDED = STARTED | {"endedAt": at(200.0), "reason": "better"}

CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("made", {"phase": "Unknown"}, []),
    ("starting", {"phase": "Starting"} | STARTED, ["TrialStarted"]),
    ("rolling-out", {"phase": "RollingOut", "verdict": "Improved"} | ENDED, ["TrialStarted", "TrialEnded"]),
    ("kept", {"phase": "Finished", "verdict": "Improved"} | ENDED, ["TrialStarted", "TrialEnded", "RolledOut"]),
    ("going-back", {"phase": "Reverting", "verdict": "Regressed"} | ENDED, ["TrialStarted", "TrialEnded"]),
    ("worse", {"phase": "Finished", "verdict": "Regressed"} | ENDED, ["TrialStarted", "TrialEnded", "RolledBack"]),
    ("worse-but-nobody-had-it", {"phase": "Finished", "verdict": "Regressed"} | ENDED | {"changed": []},
     ["TrialStarted", "TrialEnded"]),
    ("no-answer", {"phase": "Finished", "verdict": "Inconclusive"} | ENDED, ["TrialStarted", "TrialEnded"]),
    ("denied", {"phase": "Finished", "verdict": "Denied", "endedAt": at()}, ["TrialEnded"]),
]  # fmt: skip


@pytest.mark.parametrize(("status", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_a_trial_has_the_entries_that_it_has_earned(status: dict[str, Any], expected: list[str]) -> None:
    entries = entries_of(a_trial(status=status))
    assert [entry.what for entry in entries] == expected
    assert list(entries) == sorted(entries, key=lambda entry: entry.at)
    assert entries == entries_of(a_trial(status=status)), "the same ones when it is asked again"


def test_an_entry_says_what_changed_why_and_in_which_trial() -> None:
    started, ended, back = entries_of(a_trial(status={"phase": "Finished", "verdict": "Regressed"} | ENDED))
    assert (started.from_, started.to) == ("maxBatchSize 1", "maxBatchSize 8")
    assert started.why == "Trial: trial chat-1: more in one pass"
    assert (ended.at.timestamp(), ended.why) == (NOW + 200.0, "Regressed: trial chat-1: better")
    assert (back.from_, back.to, back.at.timestamp()) == ("maxBatchSize 8", "maxBatchSize 1", NOW + 300.0)
    assert back.why == "Regressed: trial chat-1: better"
    *_, kept = entries_of(a_trial(status={"phase": "Finished", "verdict": "Improved"} | ENDED))
    assert kept.why == "Improved: trial chat-1: better"


def test_the_entries_of_two_trials_and_two_events_never_share_an_id() -> None:
    status = {"phase": "Finished", "verdict": "Regressed"} | ENDED
    ids = [entry.id for name in ("chat-1", "chat-2") for entry in entries_of(a_trial(name, status=status))]
    assert len(set(ids)) == len(ids)
    assert all(len(each) <= 64 for each in ids)
