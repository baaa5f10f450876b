"""How a change is tried: by what it changes, how many pods may be compared, and what a person allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import CANARY, RULES, a_pod, a_trial
from fakes.ledger import an_entry
from fakes.stands import SURGED, a_tuned_policy, a_tuned_snapshot, attached_pods, attached_target
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.engine_knobs import CACHE_KNOBS, ENGINE_KNOBS, ChangeCost, Knob
from trimtab_api.findings import SETTINGS_HELD
from trimtab_api.trial import Change, TrialDesign
from trimtab_api.trial_rules import DesignRule
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.candidates import Candidate
from trimtab_operator.decision.design import DesignedCandidate, design_for, first_testable
from trimtab_operator.decision.ground import Ground
from trimtab_operator.model.snapshot import Target

PAIRED, SWITCHBACK, SURGE = TrialDesign.PAIRED_CANARY, TrialDesign.SWITCHBACK, TrialDesign.SURGE
BATCH = Candidate(a_trial().spec.change, CANARY, "more in one pass", (), "throughput +80%", 0.8)
IN_TURNS = {Knob.MAX_BATCH_SIZE, Knob.MAX_QUEUE_DELAY, Knob.MAX_BATCH_TOKENS, Knob.BATCHING, Knob.LATENCY_TARGET}
KNOBS = [knob for knob in ENGINE_KNOBS if knob is not Knob.MIN_ACCURACY]
SCALING = {"minReplicas": 1, "maxReplicas": 2}
ROOM: dict[str, Any] = {"scaling": SCALING}
FAST = {"goal": "MinimizeLatency", "objectives": {"latency": {"max": "200ms"}}}
VAIN = {"history": [*SURGED["history"], an_entry(id="f", why="Unschedulable: no GPU left", **{"from": "2", "to": "1"})]}


def change_of(knob: Knob) -> Candidate:
    return replace(BATCH, change=Change(knob=knob, from_="a", to="b"), score=0.9)


CACHE, FORMAT = change_of(Knob.CACHE_MEMORY), change_of(Knob.QUANTIZATION)


def ground(pods: int = 1, *, status: Any = None, spec: dict[str, Any] | None = None, **seen: Any) -> Ground:
    snapshot = a_tuned_snapshot(target=attached_target(pods), **seen)
    policy = a_tuned_policy(status=status, **(spec or {}))
    assert isinstance(snapshot.target, Target)
    return Ground(snapshot, analyze(snapshot, policy), policy, snapshot.target)


def only(design: str, **spec: Any) -> dict[str, Any]:
    return {"trial": RULES | {"design": design}, **spec}


@pytest.mark.parametrize("pods", [2, 3, 40])
@pytest.mark.parametrize("knob", KNOBS)
def test_where_two_pods_can_be_compared_they_are(knob: Knob, pods: int) -> None:
    assert design_for(change_of(knob), ground(pods, spec={"scaling": SCALING | {"maxReplicas": 100}})) is PAIRED


@pytest.mark.parametrize("knob", KNOBS)
def test_one_pod_takes_turns_only_with_what_a_switch_leaves_no_trace_of(knob: Knob) -> None:
    assert (design_for(change_of(knob), ground(1)) is SWITCHBACK) is (knob in IN_TURNS)


@pytest.mark.parametrize("knob", KNOBS)
def test_what_one_pod_cannot_take_turns_with_is_tried_on_one_replica_more_where_there_is_room(knob: Knob) -> None:
    usual = SWITCHBACK if knob in IN_TURNS else SURGE
    assert design_for(change_of(knob), ground(1, spec=ROOM | FAST)) is usual


@pytest.mark.parametrize("knob", KNOBS)
def test_once_a_replica_was_added_for_a_trial_it_has_the_change(knob: Knob) -> None:
    assert design_for(change_of(knob), ground(2, spec=ROOM | FAST, status=SURGED)) is SURGE


def test_no_knob_that_takes_the_engine_long_is_switched_to_and_fro() -> None:
    assert all(ENGINE_KNOBS[knob].cost is ChangeCost.HOT for knob in IN_TURNS)


STILL = ground(1, spec=ROOM)
REFUSED: list[tuple[str, Candidate, Ground, str, str]] = [
    ("a-cache-alone", CACHE, ground(1), "NeedsTwoReplicas", "one alone cannot take turns with a change that empties"),
    ("a-format-alone", FORMAT, ground(1), "NeedsTwoReplicas", "takes the engine minutes"),
    ("no-pod-at-all", BATCH, ground(0), "NeedsTwoReplicas", "0 can be compared"),
    ("a-short-time", BATCH, ground(1, spec={"trial": RULES | {"maxWindow": "4m"}}), "TrialWindowTooShort", "300s"),
    ("a-short-time-and-no-room", BATCH, ground(1, spec={"trial": RULES | {"maxWindow": "4m"},
     "scaling": SCALING | {"maxReplicas": 1}}), "TrialWindowTooShort", "300s"),
    ("quiet-alone", BATCH, ground(1, rps=0.2), "TooLittleTraffic", "100 for one setting (trial.minRequests)"),
    ("quiet", BATCH, ground(2, rps=0.4), "TooLittleTraffic", "100 for one pod (trial.minRequests)"),
    ("too-quiet-for-two", CACHE, ground(1, spec=ROOM, rps=0.4), "TooLittleTraffic", "100 for one pod"),
    ("not-known", CACHE, ground(1, spec=ROOM, readings={}, rps=0.0), "TooLittleTraffic", "too seldom"),
    ("no-room", CACHE, ground(1, spec={"scaling": SCALING | {"maxReplicas": 1}}), "NoRoomForSurge",
     "a→b is worth a trial, for which one more replica is needed: spec.scaling.maxReplicas is 1"),
    ("taken-back", CACHE, ground(1, spec=ROOM, status=VAIN), "NoRoomForSurge",
     "one was added for a trial and taken back: Unschedulable: no GPU left"),
    ("a-format-that-load-must-tell", FORMAT, ground(1, spec=ROOM, busy=0.8), "TooLittleLoad",
     "leaves each 40% busy; what it brings shows from 60% on"),
    ("a-format-whose-load-nobody-knows", FORMAT, replace(STILL, analysis=replace(STILL.analysis, capacity=None)),
     "TooLittleLoad", "leaves each 0% busy"),
    ("the-same-beside-the-added", FORMAT, ground(2, spec=ROOM, status=SURGED, busy=0.4), "TooLittleLoad", "40% busy"),
    ("only-pairs", CACHE, ground(1, spec=only("PairedCanary", **ROOM)), "RuledOutByDesign",
     "spec.trial.design is PairedCanary: cacheMemory a→b is worth a trial, for which two serving pods are needed"),
    ("only-turns", CACHE, ground(1, spec=only("Switchback", **ROOM)), "RuledOutByDesign", "empties or refills"),
    ("only-turns-of-two", BATCH, ground(2, spec=only("Switchback", **ROOM)), "RuledOutByDesign", "2 serve"),
    ("only-surge-without-scaling", CACHE, ground(1, spec=only("Surge")), "NoRoomForSurge",
     "spec.trial.design is Surge: cacheMemory a→b is worth a trial, for which one more replica is needed: spec"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("candidate", "place", "reason", "text"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED]
)
def test_what_cannot_be_tried_says_why(candidate: Candidate, place: Ground, reason: str, text: str) -> None:
    held = design_for(candidate, place)
    assert not isinstance(held, TrialDesign)
    assert held[0] == reason
    assert text in held[1]


def test_a_cache_tells_at_any_load_what_it_brings() -> None:
    assert design_for(CACHE, ground(1, spec=ROOM, busy=0.1)) is SURGE


def test_a_load_that_just_lets_what_it_brings_be_seen_is_enough() -> None:
    assert design_for(FORMAT, ground(2, spec=ROOM, status=SURGED, busy=0.6)) is SURGE


@pytest.mark.parametrize(
    ("pods", "spec", "requests", "seconds"),
    [
        pytest.param(1, {"trial": RULES | {"maxWindow": "20m"}}, 100.0, 400.0, id="both settings of one pod"),
        pytest.param(2, {}, 200.0, 480.0, id="two pods"),
        pytest.param(1, only("Surge", **ROOM, **FAST), 200.0, 480.0, id="a pod and the one that is added"),
    ],
)
def test_requests_are_enough_where_every_arm_gets_those_that_are_wanted_within_the_longest_window(
    pods: int, spec: dict[str, Any], requests: float, seconds: float
) -> None:
    assert isinstance(design_for(BATCH, ground(pods, spec=spec, rps=requests / seconds * 1.0001)), TrialDesign)
    assert not isinstance(design_for(BATCH, ground(pods, spec=spec, rps=requests / seconds * 0.999)), TrialDesign)


def test_as_many_requests_as_are_wanted_and_no_more_are_enough() -> None:
    longer = {"trial": RULES | {"maxWindow": "20m"}}  # each setting is measured for 400 s of it
    assert design_for(BATCH, ground(1, spec=longer, rps=0.25)) is SWITCHBACK


def test_an_added_replica_that_cannot_be_attached_is_nothing_to_compare_with() -> None:
    place = ground(2, spec=ROOM, status=SURGED)
    alone = attached_target(pods=(*attached_pods(1), a_pod("chat-1")), count=2)
    held = design_for(CACHE, replace(place, target=alone))
    assert not isinstance(held, TrialDesign)
    assert held[0] == "NeedsTwoReplicas"


def test_more_than_one_replica_is_never_added_to_unless_a_person_wants_it() -> None:
    alone = attached_target(pods=(*attached_pods(1), a_pod("chat-1")), count=2)
    held = design_for(CACHE, replace(ground(2, spec={"scaling": SCALING | {"maxReplicas": 3}}), target=alone))
    assert not isinstance(held, TrialDesign)
    assert held[0] == "NeedsTwoReplicas"


def test_a_person_may_have_every_change_tried_on_one_replica_more() -> None:
    for pods in (1, 3):
        room = only("Surge", scaling=SCALING | {"maxReplicas": pods + 1}, **FAST)
        assert design_for(BATCH, ground(pods, spec=room)) is SURGE


def test_a_person_may_have_an_added_replica_compared_as_any_other() -> None:
    assert design_for(BATCH, ground(2, spec=only("PairedCanary", **ROOM), status=SURGED)) is PAIRED


@given(
    knob=st.sampled_from(KNOBS),
    design=st.sampled_from(DesignRule),
    fleet=st.tuples(st.integers(0, 4), st.integers(1, 5), st.booleans()),
    load=st.fixed_dictionaries({"busy": st.floats(0.0, 1.0), "rps": st.floats(0.0, 50.0)}),
)
def test_no_change_is_tried_by_a_design_that_a_person_ruled_out_or_that_the_fleet_cannot_give(
    knob: Knob, design: DesignRule, fleet: tuple[int, int, bool], load: dict[str, float]
) -> None:
    pods, most, surged = fleet
    spec = {"trial": RULES | {"design": design}, "scaling": {"minReplicas": 1, "maxReplicas": most}}
    found = design_for(change_of(knob), ground(pods, spec=spec, status=SURGED if surged else None, **load))
    if not isinstance(found, TrialDesign):
        assert found[0] in {row[3] for row in REFUSED}
        return
    assert design in ("Auto", found)
    assert found is not PAIRED or pods >= 2
    assert found is not SWITCHBACK or (pods == 1 and knob in IN_TURNS)
    assert found is not SURGE or (pods == 2 and surged) or pods < most
    assert found is not SURGE or load["busy"] >= 0.6 or knob in CACHE_KNOBS


def test_the_best_candidate_is_tried_where_the_pods_allow_it_else_the_next_that_they_allow() -> None:
    assert first_testable((CACHE, BATCH), ground(2)) == DesignedCandidate(CACHE, PAIRED)
    assert first_testable((CACHE, BATCH), ground(1)) == DesignedCandidate(BATCH, SWITCHBACK)
    assert first_testable((CACHE, BATCH), ground(1, spec=ROOM)) == DesignedCandidate(CACHE, SURGE)
    assert first_testable((CACHE, BATCH), ground(1, spec=ROOM, status=VAIN)) == DesignedCandidate(BATCH, SWITCHBACK)


@pytest.mark.parametrize(
    ("candidates", "knob", "lacking"),
    [
        ((CACHE, FORMAT), "cacheMemory", "a change that empties or refills its cache"),
        ((FORMAT, CACHE), "quantization", "a change that takes the engine minutes"),
    ],
    ids=["a cache is the best", "a format is the best"],
)
def test_where_none_can_be_tried_the_reason_is_that_of_the_best(
    candidates: tuple[Candidate, ...], knob: str, lacking: str
) -> None:
    wanted = f"{knob} a→b is worth a trial, for which two serving pods are needed"
    found = first_testable(candidates, ground(1))
    assert found == ("NeedsTwoReplicas", f"{wanted}: one alone cannot take turns with {lacking}")


def test_the_reasons_that_last_are_constraints() -> None:
    assert {row[3] for row in REFUSED} <= SETTINGS_HELD
