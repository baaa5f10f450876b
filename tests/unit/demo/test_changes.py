"""What is told about the deployment and its policy, and what is not told twice."""

from __future__ import annotations

from typing import Any

from dev.demo.changes import Seen, changes, event_lines
from dev.demo.sightings import PodSight, Sighting

POD = PodSight("a", bound=True, ready=True, ending=False)


def a_policy(phase: str = "Discovery", trusted: str = "True", reason: str = "Fresh") -> dict[str, Any]:
    condition = {"type": "MetricsTrusted", "status": trusted, "reason": reason, "message": "all pods answer"}
    return {"status": {"phase": phase, "conditions": [condition]}}


def seen(desired: int, *pods: PodSight, policy: dict[str, Any] | None = None) -> Seen:
    return Seen.of(Sighting(0.0, desired, pods), policy)


def texts(before: Seen, now: Seen) -> list[str]:
    return [change.text for change in changes(before, now)]


def test_the_first_look_tells_nothing_about_replicas() -> None:
    assert changes(Seen(), seen(1, POD)) == []


def test_a_new_number_of_replicas_is_a_scaling_and_important() -> None:
    (change,) = changes(seen(1, POD), seen(3, POD))
    assert change.text == "replicas 1 → 3"
    assert change.scaling
    assert change.important


def test_pods_that_begin_to_serve_are_told_but_are_no_scaling() -> None:
    second = PodSight("b", bound=True, ready=True, ending=False)
    (change,) = changes(seen(2, POD), seen(2, POD, second))
    assert change.text == "pods that serve: 1 → 2"
    assert not change.scaling


def test_a_phase_and_a_condition_are_told_when_they_change_and_only_then() -> None:
    before, after = seen(1, policy=a_policy()), seen(1, policy=a_policy("Analysis", "False", "Stale"))
    assert texts(before, before) == []
    assert texts(before, after) == [
        "policy: phase Analysis",
        "policy: MetricsTrusted=False (Stale): all pods answer",
    ]


def test_a_policy_without_status_says_nothing_yet() -> None:
    assert texts(Seen(), seen(1, policy={"spec": {}})) == []


def test_what_is_not_known_yet_is_not_told_but_losing_what_was_known_is() -> None:
    unknown, known = seen(1, policy={"status": {"phase": "Unknown"}}), seen(1, policy={"status": {"phase": "Analysis"}})
    assert texts(seen(1), unknown) == []
    assert texts(known, unknown) == ["policy: phase Unknown"]


def test_an_event_of_a_policy_is_told_once() -> None:
    event = {
        "metadata": {"uid": "1"},
        "involvedObject": {"kind": "OptimizationPolicy"},
        "reason": "Scaled",
        "message": "1 → 2",
    }
    other = {"metadata": {"uid": "2"}, "involvedObject": {"kind": "Pod"}, "reason": "Pulled", "message": "image"}
    told: set[str] = set()
    assert event_lines([event, other], told) == ["event Scaled: 1 → 2"]
    assert event_lines([event, other], told) == []
