"""What forbids a change: who says so, and until when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import a_policy, a_snapshot, a_target

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.permission import refusal
from trimtab_operator.model.snapshot import ReplicasOwner, Snapshot, Target

FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday
PUBLISHED = "the number is published, nothing is changed"
LATENCY = {"latency": {"max": "200ms"}}


def refused(snapshot: Snapshot, *, up: bool = True, **spec: Any) -> tuple[str, str] | None:
    policy = a_policy(**spec)
    assert isinstance(snapshot.target, Target)
    return refusal(snapshot, snapshot.target, analyze(snapshot, policy), policy, up=up)


@pytest.mark.parametrize(
    ("snapshot", "spec", "held"),
    [
        pytest.param(a_snapshot(), {"mode": "Paused"}, ("Paused", "spec.mode is Paused: nothing is changed"),
                     id="paused"),
        pytest.param(a_snapshot(), {"mode": "Recommend"}, ("RecommendOnly", f"spec.mode is Recommend: {PUBLISHED}"),
                     id="recommend"),
        pytest.param(a_snapshot(max_mode="Recommend"), {},
                     ("MaxModeRecommend", f"the cluster's maxMode is Recommend: {PUBLISHED}"), id="kill switch"),
        pytest.param(a_snapshot(), {"freeze": FREEZE}, ("Frozen", "spec.freeze holds until 24:00 UTC"), id="frozen"),
        pytest.param(a_snapshot(), {}, None, id="allowed"),
    ],
)  # fmt: skip
def test_what_forbids_a_change_says_where_it_stands(
    snapshot: Snapshot, spec: dict[str, Any], held: tuple[str, str] | None
) -> None:
    assert refused(snapshot, **spec) == held


def test_another_owner_is_said_before_what_the_user_allows() -> None:
    owned = a_snapshot(target=a_target(replicas_owners=(ReplicasOwner("HorizontalPodAutoscaler", "hpa"),)))
    found = refused(owned, mode="Recommend")
    assert found is not None
    assert found[0] == "HorizontalPodAutoscaler"
    assert "hpa" in found[1]


def test_a_freeze_yields_to_a_violated_guard_only_and_only_to_what_may_mend_it() -> None:
    slow, wasteful = a_snapshot(latency=1.0), a_snapshot(busy=0.1)
    assert refused(slow, freeze=FREEZE, objectives=LATENCY) is None
    assert refused(slow, up=False, freeze=FREEZE, objectives=LATENCY) is not None
    low = {"requestsPerSecond": {"min": "1000000"}}
    found = analyze(wasteful, a_policy(objectives=low)).objectives
    assert [result.attainment for result in found] == ["Violated"], "an objective that is no guard"
    assert refused(wasteful, freeze=FREEZE, objectives=low) is not None
    assert refused(replace(slow, now=slow.now + 86400.0), up=False, freeze=FREEZE, objectives=LATENCY) is None
