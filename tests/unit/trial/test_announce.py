"""The events that a person hears of a policy, word for word."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW
from fakes.ledger import an_entry, an_intent, replicas, stamp

from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.model.action import Event
from trimtab_operator.trial.announce import announce

STEADY: dict[str, Any] = {"phase": "Validation", "replicas": replicas(2)}


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    row = {"type": kind, "status": status, "reason": reason, "message": f"{kind} is {status}"}
    return row | {"observedGeneration": 1, "lastTransitionTime": stamp(NOW)}


def told(before: dict[str, Any], after: dict[str, Any]) -> list[Event]:
    old, new = (PolicyStatus.model_validate(STEADY | each) for each in (before, after))
    return list(announce(old, new))


def test_where_nothing_changed_nothing_is_told() -> None:
    full = {
        "history": [an_entry()],
        "conditions": [condition("Conflict", "True", "TargetTaken")],
        "constraints": [{"name": "InvalidSpec", "reason": "no"}],
        "replicas": replicas(2, 3),
    }
    assert told(full, full) == []


def test_another_phase_is_told() -> None:
    assert told({"phase": "Analysis"}, {}) == [Event("Normal", "PhaseChanged", "Analysis → Validation")]


@pytest.mark.parametrize(
    ("what", "event"),
    [
        ("Scaled", Event("Normal", "Scaled", "from 1 to 2 replicas: Utilization: busy")),
        ("RolledOut", Event("Normal", "RolledOut", "from 1 to 2: Utilization: busy")),
        ("RolledBack", Event("Warning", "RolledBack", "from 1 to 2: Utilization: busy")),
        ("ForeignEdit", Event("Normal", "ForeignEdit", "from 1 to 2: Utilization: busy")),
    ],
)
def test_a_new_entry_of_the_ledger_is_told_once(what: str, event: Event) -> None:
    old = an_entry(id="old")
    assert told({"history": [old]}, {"history": [old, an_entry(id="new", what=what)]}) == [event]


@pytest.mark.parametrize(
    ("kind", "bad", "reason", "spoken"),
    [
        ("TargetResolved", "False", "NotFound", "TargetNotFound"),
        ("MetricsTrusted", "False", "Stale", "MetricsStale"),
        ("ObjectivesMet", "False", "Violated", "ObjectivesViolated"),
        ("Conflict", "True", "TargetTaken", "TargetTaken"),
    ],
)
def test_a_condition_that_goes_wrong_is_a_warning_and_one_that_recovers_is_told(
    kind: str, bad: str, reason: str, spoken: str
) -> None:
    good = "True" if bad == "False" else "False"
    fine, broken = condition(kind, good, "Fine"), condition(kind, bad, reason)
    warning = Event("Warning", spoken, f"{kind} is {bad}")
    assert told({}, {"conditions": [broken]}) == [warning]
    assert told({"conditions": [fine]}, {"conditions": [broken]}) == [warning]
    assert told({"conditions": [condition(kind, bad, "Other")]}, {"conditions": [broken]}) == [warning]
    recovered = Event("Normal", f"{kind}Recovered", f"{kind} is {good}")
    assert told({"conditions": [broken]}, {"conditions": [fine]}) == [recovered]
    assert told({}, {"conditions": [fine]}) == []
    assert told({"conditions": [fine]}, {"conditions": [condition(kind, "Unknown", "NotMeasured")]}) == []


def test_a_condition_that_nobody_has_to_mend_is_not_told_and_does_not_hide_the_next() -> None:
    rows = [condition("Progressing", "False", "Steady"), condition("Conflict", "True", "TargetTaken")]
    assert told({}, {"conditions": rows}) == [Event("Warning", "TargetTaken", "Conflict is True")]


@pytest.mark.parametrize("name", ["MaxReplicasReached", "UnschedulablePods", "InvalidSpec", "HardwareMismatch"])
def test_a_constraint_that_a_person_can_lift_is_a_warning_when_it_appears(name: str) -> None:
    rows = [{"name": "NoKnobs", "reason": "none"}, {"name": name, "reason": "why"}]
    assert told({}, {"constraints": rows}) == [Event("Warning", name, "why")]
    assert told({"constraints": rows[1:]}, {"constraints": rows}) == []


def test_a_recommendation_is_told_where_no_write_of_ours_follows() -> None:
    wanted = replicas(2, 3, reason="Utilization: busy")
    event = Event("Normal", "Recommended", "3 replicas instead of 2: Utilization: busy")
    assert told({}, {"replicas": wanted}) == [event]
    assert told({"replicas": None}, {"replicas": wanted}) == [event]
    assert told({"replicas": replicas(2, 4)}, {"replicas": wanted}) == [event]
    assert told({"replicas": wanted}, {"replicas": wanted}) == []
    assert told({}, {"replicas": wanted, "intent": an_intent()}) == []
    assert told({"replicas": replicas(2, 3)}, {"replicas": replicas(2)}) == []
    assert told({}, {"replicas": wanted | {"desired": None}}) == []
    assert told({}, {"replicas": None}) == []
