"""What the load needs, before any guardrail: which figures count, and how the wish is explained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import a_policy, a_reading, a_snapshot

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.proposal import Proposal, Tick
from trimtab_operator.decision.replicas import need, needed_at_peak, propose
from trimtab_operator.model.analysis import Capacity
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, Target

QUEUE = {"waiting": 0.9, "queue": 12.0, "busy": 0.7}
RPS = Signal.REQUESTS_PER_SECOND


def tick(snapshot: Snapshot, **spec: Any) -> Tick:
    policy = a_policy(**spec)
    assert isinstance(snapshot.target, Target)
    assert policy.spec.scaling is not None
    return Tick(snapshot, snapshot.target, analyze(snapshot, policy), policy, policy.spec.scaling)


def carried(**fields: Any) -> Capacity:
    known = tick(a_snapshot()).analysis.capacity
    assert known is not None
    return replace(known, **fields)


def test_where_the_use_is_not_known_nothing_is_wished_for_and_that_is_said() -> None:
    seen = tick(a_snapshot())
    unknown = replace(seen, analysis=replace(seen.analysis, capacity=None))
    assert propose(unknown) == Proposal(2, 2, 2, "MetricsUntrusted", "the use of the replicas is not known")


def test_a_wish_keeps_the_evidence_that_it_is_made_of() -> None:
    seen = tick(a_snapshot(busy=0.95))
    assert seen.analysis.capacity is not None
    assert propose(seen).evidence == seen.analysis.capacity.evidence != ()


def test_the_sentence_names_the_demand_and_what_one_replica_carries_where_they_are_known() -> None:
    assert propose(tick(a_snapshot(busy=0.9))).message == (
        "busy_ratio is at 0.90 of its limit, demand 40 requests/s, one replica carries 22.2: "
        "2.25 replicas are needed at 0.8 utilization"
    )
    quiet = a_snapshot(busy=0.95, readings={RPS: a_reading(RPS, {"chat-0": 0.1, "chat-1": 0.1})})
    assert "carries" not in propose(tick(quiet)).message


@pytest.mark.parametrize(
    ("snapshot", "objectives", "reason"),
    [
        pytest.param(a_snapshot(latency=1.0, **QUEUE), {"latency": {"max": "200ms"}}, "ObjectiveViolated", id="slow"),
        pytest.param(a_snapshot(latency=1.0, **QUEUE), {"latency": {"max": "9s"}}, "Utilization", id="fast enough"),
        pytest.param(a_snapshot(latency=1.0, errors=4.0, **QUEUE), {"errorRatio": {"max": "0.01"}}, "Utilization",
                     id="failing"),
    ],
)  # fmt: skip
def test_one_replica_more_is_wished_for_where_those_that_wait_miss_their_objective(
    snapshot: Snapshot, objectives: dict[str, Any], reason: str
) -> None:
    seen = tick(snapshot, objectives=objectives)
    assert seen.analysis.bottleneck is not None
    assert seen.analysis.bottleneck.kind == "Queue"
    assert propose(seen).reason == reason


def test_a_use_that_is_just_right_needs_no_replica_more() -> None:
    assert propose(tick(a_snapshot(busy=0.8))).uncapped == 2
    assert propose(tick(a_snapshot(busy=0.81))).uncapped == 3


def test_need_is_by_use_or_by_demand_whichever_is_more() -> None:
    assert need(carried(utilization_ratio=0.4, demand_rps=80.0, per_replica_rps=20.0), 2) == pytest.approx(5.0)
    assert need(carried(utilization_ratio=0.8, demand_rps=1.0, per_replica_rps=20.0), 2) == pytest.approx(2.0)
    assert need(carried(utilization_ratio=0.4, demand_rps=None, per_replica_rps=20.0), 2) == pytest.approx(1.0)
    assert need(carried(utilization_ratio=0.4, demand_rps=80.0, per_replica_rps=None), 2) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fields", "fewest"),
    [
        pytest.param({"utilization_peak_ratio": 0.75}, 3, id="by use"),
        pytest.param({"utilization_peak_ratio": 0.1, "demand_rps": 1.0, "per_replica_rps": 20.0,
                      "demand_peak_rps": 75.0}, 8, id="by demand"),
        pytest.param({"utilization_peak_ratio": 0.75, "demand_rps": 1.0, "per_replica_rps": 20.0,
                      "demand_peak_rps": 5.0}, 3, id="by use, with little demand"),
        pytest.param({"utilization_peak_ratio": 0.75, "per_replica_rps": 20.0}, 3, id="without a demand"),
        pytest.param({"utilization_peak_ratio": 0.75, "demand_rps": 1.0}, 3, id="without what one carries"),
        pytest.param({"utilization_peak_ratio": 0.75, "demand_rps": 1.0, "per_replica_rps": 20.0}, None,
                     id="a peak that is not known"),
        pytest.param({}, None, id="a use that is not known"),
    ],
)  # fmt: skip
def test_what_the_peak_needs_is_rounded_up(fields: dict[str, Any], fewest: int | None) -> None:
    bare = carried(utilization_peak_ratio=None, demand_rps=None, per_replica_rps=None, demand_peak_rps=None, load=None)
    assert needed_at_peak(replace(bare, **fields), 2, 0.5) == fewest
