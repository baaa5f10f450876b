"""The state machine: intents, acts, foreign edits, phases; each tick by its outcome."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import NOW, a_policy, a_series, a_snapshot, a_target, later
from fakes.ledger import an_entry, an_intent, replicas, stamp

from trimtab_api.conditions import REASONS, Condition
from trimtab_api.policy_status import Phase, PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.action import Scale, Step
from trimtab_operator.model.decision import Change
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import ReplicasOwner, Snapshot, TargetProblem
from trimtab_operator.trial.advance import advance
from trimtab_operator.trial.intent import intend

GONE = Snapshot(now=NOW, target=TargetProblem("NotFound", "no Deployment prod/chat"))
BUSY = a_snapshot(busy=0.95)


def step(snapshot: Snapshot, status: dict[str, Any] | None = None, **spec: Any) -> Step:
    policy = a_policy(status={"phase": "Validation"} | (status or {}), **spec)
    return advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)


def status_of(taken: Step) -> PolicyStatus:
    assert taken.status is not None
    return PolicyStatus.model_validate(taken.status)


def reasons(taken: Step) -> list[str]:
    return [event.reason for event in taken.events]


def test_a_change_is_first_an_intent_in_status_and_no_act() -> None:
    taken = step(BUSY)
    intent = status_of(taken).intent
    assert intent is not None
    assert (intent.kind, intent.from_, intent.to, taken.actions, taken.requeue_seconds) == ("Scale", "2", "3", (), 0.0)
    assert intent.reason.startswith("Utilization: ")
    assert {fact.signal for fact in intent.evidence} >= {"busy_ratio", "requests_per_second"}


def test_the_identity_of_an_intent_depends_on_what_it_is_about() -> None:
    first, again, third = (status_of(step(snapshot)).intent for snapshot in (BUSY, BUSY, later(BUSY, 1.0)))
    assert first == again
    assert first is not None
    assert third is not None
    assert first.id != third.id


def test_an_intent_of_another_generation_or_of_other_numbers_is_another() -> None:
    policy, target = a_policy(), a_target()
    change = Change("Scale", current=2, desired=3, uncapped=3, reason="Utilization", message="busy")
    newer = policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"generation": 4})})
    made = [
        intend(change, a_snapshot(), target, policy).id,
        intend(change, a_snapshot(), target, newer).id,
        intend(replace(change, current=1), a_snapshot(), target, policy).id,
        intend(replace(change, desired=4), a_snapshot(), target, policy).id,
        intend(change, a_snapshot(), replace(target, uid="another"), policy).id,
    ]
    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {len("scale-") + 16}


def test_an_intent_may_be_written_for_just_a_minute_and_waits_as_long_for_its_target() -> None:
    assert step(BUSY, {"intent": an_intent(at=NOW - 60.0)}).actions
    assert status_of(step(GONE, {"intent": an_intent(at=NOW - 60.0)})).intent is not None


def test_a_stored_intent_is_acted_upon_and_acting_twice_is_the_same() -> None:
    taken = step(BUSY, {"intent": an_intent()})
    assert taken == step(BUSY, {"intent": an_intent()})
    assert taken.status is None
    assert taken.events == ()
    assert taken.actions == (Scale("prod", "chat", "Deployment", 3, "100", "scale-1"),)
    assert taken.requeue_seconds == 1.0


def test_an_intent_ends_when_the_target_has_its_number() -> None:
    evidence = [{"signal": "requests_per_second", "value": "40", "unit": "requests/s", "at": stamp(NOW)}]
    scaled = a_snapshot(target=a_target(3, pods=a_target(2).pods), busy=0.95)
    taken = step(scaled, {"intent": an_intent(evidence=evidence), "replicas": replicas(2, 3)})
    after = status_of(taken)
    (entry,) = after.history
    assert after.intent is None
    assert (entry.what, entry.from_, entry.to, entry.id) == ("Scaled", "2", "3", "scale-1")
    assert entry.requests_per_second == "40"
    assert after.replicas is not None
    assert after.replicas.current == 3
    assert "Scaled" in reasons(taken)
    assert taken.requeue_seconds == 1.0


def test_an_intent_is_not_followed_by_another_in_the_same_step() -> None:
    taken = step(a_snapshot(replicas=3, busy=1.0), {"intent": an_intent()})
    assert status_of(taken).intent is None


@pytest.mark.parametrize(
    ("snapshot", "intent", "text"),
    [
        pytest.param(BUSY, an_intent(at=NOW - 61.0), "could not be written", id="too-old"),
        pytest.param(a_snapshot(), an_intent(), "no longer wanted", id="not-wanted"),
        pytest.param(a_snapshot(rps=1.0, busy=0.01), an_intent(), "no longer wanted", id="other-way-round"),
        pytest.param(replace(BUSY, max_mode="Recommend"), an_intent(), "no longer wanted", id="kill-switch"),
        pytest.param(BUSY, an_intent(kind="StartTrial"), "does not know how", id="of-another-version"),
        pytest.param(GONE, an_intent(at=NOW - 61.0), "was dropped: the target is gone", id="target-gone"),
    ],
)
def test_an_intent_that_may_not_be_acted_upon_is_dropped_with_an_event(
    snapshot: Snapshot, intent: dict[str, Any], text: str
) -> None:
    taken = step(snapshot, {"intent": intent, "replicas": replicas(2, 3)})
    assert taken.actions == ()
    assert status_of(taken).intent is None
    dropped = next(event for event in taken.events if event.reason == "IntentDropped")
    assert text in dropped.message
    assert dropped.type == "Warning"


def test_an_intent_waits_a_moment_for_a_target_that_cannot_be_seen() -> None:
    after = status_of(step(GONE, {"intent": an_intent()}))
    assert after.intent is not None
    assert after.intent.id == "scale-1"


def test_somebody_elses_number_drops_the_intent_and_is_noted() -> None:
    owners = (ReplicasOwner("Scale", "kubectl"), ReplicasOwner("ScaledObject", "chat"))
    edited = a_snapshot(target=a_target(5, replicas_owners=owners), busy=0.2)
    taken = step(edited, {"intent": an_intent(), "replicas": replicas(2, 3)})
    (entry,) = status_of(taken).history
    assert (entry.what, entry.from_, entry.to) == ("ForeignEdit", "2", "5")
    assert entry.why == "ForeignEdit: the replicas were changed by Scale kubectl, ScaledObject chat"
    assert {"IntentDropped", "ForeignEdit"} <= set(reasons(taken))
    dropped = next(event for event in taken.events if event.reason == "IntentDropped")
    assert dropped.message == "Scale from 2 to 3 was dropped: somebody else changed the replicas"


def test_a_foreign_edit_between_two_ticks_is_noted_once() -> None:
    taken = step(a_snapshot(replicas=4), {"replicas": replicas(2)})
    after = status_of(taken)
    assert [(entry.what, entry.from_, entry.to) for entry in after.history] == [("ForeignEdit", "2", "4")]
    assert after.history[0].why == "ForeignEdit: the replicas were changed by somebody else"
    again = step(a_snapshot(replicas=4), taken.status)
    assert again.status is None


def test_after_a_foreign_edit_the_decision_already_knows_of_it() -> None:
    after = status_of(step(a_snapshot(replicas=4, rps=1.0, busy=0.01), {"replicas": replicas(2)}))
    assert after.replicas is not None
    assert after.replicas.reason.startswith("Stabilizing")
    assert after.intent is None


def test_a_tick_that_notes_an_edit_of_others_asks_for_nothing_of_its_own() -> None:
    taken = step(a_snapshot(replicas=4, rps=80.0, busy=0.99), {"replicas": replicas(2)})
    after = status_of(taken)
    assert [entry.what for entry in after.history] == ["ForeignEdit"]
    assert after.replicas is not None
    assert (after.replicas.desired, after.intent) == (5, None)
    assert taken.requeue_seconds == 1.0


def test_an_intent_that_waits_for_its_target_is_looked_at_again_after_the_interval() -> None:
    assert step(GONE, {"intent": an_intent()}).requeue_seconds == 15.0
    assert step(GONE, {"intent": an_intent()}, observation={"interval": "5s", "window": "30m"}).requeue_seconds == 5.0


@pytest.mark.parametrize(
    ("phase", "snapshot", "after"),
    [
        (None, a_snapshot(), Phase.DISCOVERY),
        (Phase.UNKNOWN, a_snapshot(), Phase.DISCOVERY),
        (Phase.DISCOVERY, a_snapshot(), Phase.ANALYSIS),
        (Phase.DISCOVERY, GONE, Phase.DISCOVERY),
        (Phase.ANALYSIS, a_snapshot(), Phase.VALIDATION),
        (Phase.ANALYSIS, GONE, Phase.ANALYSIS),
        (Phase.VALIDATION, GONE, Phase.VALIDATION),
        (Phase.STRATEGY, a_snapshot(), Phase.VALIDATION),
        (Phase.IMPLEMENTATION, a_snapshot(), Phase.VALIDATION),
        (Phase.ROLLING_BACK, a_snapshot(), Phase.VALIDATION),
    ],
)
def test_the_phases_follow_each_other(phase: Phase | None, snapshot: Snapshot, after: Phase) -> None:
    policy = a_policy(status={"phase": phase} if phase else None)
    taken = advance(phase, snapshot, analyze(snapshot, policy), policy)
    assert status_of(taken).phase is after


def test_a_baseline_that_stands_is_kept_and_is_enough_to_leave_discovery() -> None:
    baseline = {"from": stamp(NOW - 1800.0), "to": stamp(NOW), "requests": 7}
    status = {"phase": "Discovery", "baseline": baseline}
    young = a_snapshot(history={Signal.REQUESTS_PER_SECOND: a_series(Signal.REQUESTS_PER_SECOND, 1.0, seconds=60.0)})
    after = status_of(step(young, status))
    assert after.phase is Phase.ANALYSIS
    assert after.baseline is not None
    assert after.baseline.requests == 7


def test_a_steady_target_writes_nothing_and_is_looked_at_again_after_the_interval() -> None:
    first = step(a_snapshot())
    again = step(later(a_snapshot(), 15.0), first.status)
    assert (again.status, again.actions, again.events, again.requeue_seconds) == (None, (), (), 15.0)


@pytest.mark.parametrize("snapshot", [a_snapshot(), BUSY, GONE, a_snapshot(busy=9.0)])
@pytest.mark.parametrize("mode", ["Apply", "Recommend", "Paused"])
def test_every_step_shows_all_conditions_with_reasons_of_the_closed_list(snapshot: Snapshot, mode: str) -> None:
    after = status_of(step(snapshot, mode=mode))
    assert [condition.type for condition in after.conditions] == list(REASONS)
    for condition in after.conditions:
        assert condition.reason in tuple(REASONS[condition.type])
        assert condition.observed_generation == 3
    columns = (
        after.objectives_summary,
        after.bottleneck_summary,
        after.replicas_summary,
        after.saving_summary,
        after.trusted_summary,
    )
    assert all(columns), "blank is a bug"


def test_what_this_version_does_not_know_of_stays_in_status() -> None:
    kept = {"lastKnownGood": {"settings": {}, "at": stamp(NOW)}}
    after = status_of(step(a_snapshot(), kept))
    assert after.last_known_good is not None


def test_the_time_of_a_condition_moves_with_its_status_only() -> None:
    before = status_of(step(a_snapshot()))
    after = status_of(step(later(a_snapshot(busy=9.0), 60.0), before.to_body()))

    def moved(name: str) -> bool:
        times = [_condition(each, name).last_transition_time for each in (before, after)]
        return times[0] != times[1]

    assert moved("MetricsTrusted")
    assert moved("Ready")
    assert not moved("TargetResolved")


def _condition(status: PolicyStatus, name: str) -> Condition:
    return next(each for each in status.conditions if each.type == name)


def test_an_entry_seen_twice_is_in_the_ledger_once_and_the_oldest_are_counted() -> None:
    kinds = ["Scaled", "RolledOut", "RolledBack", "ForeignEdit"] * 5
    old = [an_entry(id=f"e{n}", what=kind, at=NOW - 7200.0 + n) for n, kind in enumerate(kinds)]
    taken = step(a_snapshot(replicas=4), {"history": old, "replicas": replicas(2)})
    after = status_of(taken)
    assert len(after.history) == 20
    assert after.history[-1].what == "ForeignEdit"
    assert after.history_summary is not None
    assert (after.history_summary.count, after.history_summary.scaled) == (1, 1)
    more = step(a_snapshot(replicas=5), taken.status)
    summary = status_of(more).history_summary
    assert summary is not None
    assert (summary.count, summary.rolled_out, summary.since) == (2, 1, after.history_summary.since)


LONGER = a_snapshot(history={Signal.INPUT_TOKENS: a_series(Signal.INPUT_TOKENS, 100.0)})
KNOWN = {"baseline": {"from": stamp(NOW - 3600.0), "to": stamp(NOW - 1800.0), "requests": 7, "inputTokens": "25"}}


def test_a_changed_load_leads_back_to_discovery_which_says_why_and_then_takes_a_new_baseline() -> None:
    back = step(LONGER, KNOWN)
    after = status_of(back)
    assert (after.phase, after.baseline) == (Phase.DISCOVERY, None)
    (entry,) = after.history
    assert (entry.what, entry.from_, entry.to) == ("LoadChanged", "25 tokens", "100 tokens")
    assert entry.why == (
        "Drift: an input has 100 tokens, 25 when the baseline was taken: what is normal is measured anew"
    )
    assert "an input has 100 tokens, 25 when" in progressing(after).message
    assert {"PhaseChanged", "LoadChanged"} <= set(reasons(back))
    anew = status_of(step(later(LONGER, 15.0), after.to_body()))
    assert anew.phase is Phase.ANALYSIS
    assert anew.baseline is not None
    assert anew.baseline.input_tokens == "100"
    assert anew.history == after.history
    assert status_of(step(later(LONGER, 30.0), anew.to_body())).phase is Phase.VALIDATION


def test_the_same_change_of_load_is_noted_once() -> None:
    noted = status_of(step(LONGER, KNOWN)).history
    again = status_of(step(later(LONGER, 15.0), KNOWN | {"history": [each.to_body() for each in noted]}))
    assert again.history == noted


def progressing(status: PolicyStatus) -> Condition:
    return next(each for each in status.conditions if each.type == "Progressing")
