"""A replica that is added for a trial: when it is asked for, kept, and taken back, as the ledger tells."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW, RULES, a_pod, a_trial, an_engine
from fakes.ledger import an_entry, an_intent
from fakes.stands import BASELINE, a_tuned_policy, a_tuned_snapshot, attached_pods, attached_target, engines
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.decide import decide
from trimtab_operator.decision.surge import standing_surge, vain_surge
from trimtab_operator.model.decision import Change, Decision, Hold
from trimtab_operator.model.snapshot import Pod, ReplicasOwner, Target

CACHE = {"cache": {"memory": {"max": "64Mi"}}}
SCALING = {"minReplicas": 1, "maxReplicas": 3, "stabilization": "5m"}
FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday
WHY = "Surge: cacheMemory 0→16Mi is to be tried on one replica more, beside what serves now"
OWNED = attached_target(1, replicas_owners=(ReplicasOwner("HorizontalPodAutoscaler", "hpa"),))
TRIED = a_trial(status={"phase": "Finished", "verdict": "Inconclusive"})


def decided(
    target: Target | None = None, *, status: Any = None, spec: dict[str, Any] | None = None, **seen: Any
) -> Decision:
    """One replica of which .6 is used, unless said otherwise; its cache may be turned, and up to three may be had."""
    snapshot = a_tuned_snapshot(target=target or attached_target(1), **{"busy": 0.6, **seen})
    policy = a_tuned_policy(status=status, **{"scaling": SCALING, "knobs": CACHE, **(spec or {})})
    return decide(snapshot, analyze(snapshot, policy), policy)


def entry(replicas: tuple[int, int], why: str, seconds_ago: float) -> dict[str, Any]:
    before, after = map(str, replicas)
    return an_entry(id=f"e-{seconds_ago:g}", at=NOW - seconds_ago, why=why, **{"from": before, "to": after})


def surged(seconds_ago: float) -> dict[str, Any]:
    return {"history": [entry((1, 2), WHY, seconds_ago)]}


def added(**overrides: Any) -> Pod:
    """The replica that was added, which does not serve yet."""
    fields: dict[str, Any] = {"ready": False, "ready_at": None, "created_at": NOW - 60.0, "attachable": True}
    return a_pod("chat-1", **fields | overrides)


def starting(**overrides: Any) -> Target:
    return attached_target(pods=(*attached_pods(1), added(**overrides)), count=2)


def test_one_replica_more_is_asked_for_where_its_change_cannot_be_tried_otherwise() -> None:
    found = decided()
    assert isinstance(found, Change), found
    assert (found.current, found.desired, found.uncapped, found.reason) == (1, 2, 1, "Surge")
    assert found.message == "cacheMemory 0→16Mi is to be tried on one replica more, beside what serves now"
    assert found.evidence


def test_it_is_still_wanted_while_its_own_intent_stands() -> None:
    intent = an_intent(reason=WHY, **{"from": "1", "to": "2"})
    assert decided(status={"intent": intent}) == decided()


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("recommend", {"spec": {"mode": "Recommend"}}, "RecommendOnly"),
    ("paused", {"spec": {"mode": "Paused"}}, "Paused"),
    ("kill-switch", {"max_mode": "Recommend"}, "MaxModeRecommend"),
    ("frozen", {"spec": {"freeze": FREEZE}}, "Frozen"),
    ("another-owner", {"target": OWNED}, "HorizontalPodAutoscaler"),
    ("another-policy", {"taken_by": "prod/older"}, "TargetTaken"),
    ("no-scaling", {"spec": {"scaling": None}}, "NoScalingBlock"),
    ("no-room", {"spec": {"scaling": SCALING | {"maxReplicas": 1}}}, "Steady"),
    ("untrusted", {"busy": 9.0}, "MetricsUntrusted"),
    ("an-unfinished-intent", {"status": {"intent": an_intent()}}, "Steady"),
    ("no-baseline", {"status": {"baseline": None}}, "Steady"),
    ("a-trial-under-way", {"status": {"currentTrial": "chat-1"}}, "Steady"),
    ("a-trial-just-made", {"trials": (a_trial(),)}, "Steady"),
    ("the-search-is-over", {"spec": {"trial": RULES | {"maxTrials": 0}}}, "Steady"),
    ("an-engine-away", {"engines": engines(an_engine(attached=False))}, "Steady"),
    ("found-no-node-lately", {"status": {"history": [entry((2, 1), "Unschedulable: no GPU", 200.0)]}}, "Unschedulable"),
    ("taken-back-in-this-search", {"status": {"history": [
        entry((1, 2), WHY, 1100.0), entry((2, 1), "Unschedulable: no GPU", 1000.0)]}}, "Steady"),
    ("a-person-undid-it", {"status": {"history": [
        entry((1, 2), WHY, 1100.0), entry((2, 1), "ForeignEdit: by kubectl", 1000.0) | {"what": "ForeignEdit"}]}},
     "Steady"),
    ("other-designs-only", {"spec": {"trial": RULES | {"design": "Switchback"}}}, "Steady"),
    ("nothing-to-try", {"spec": {"knobs": {}}}, "Steady"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_what_forbids_a_scale_up_or_a_trial_forbids_the_surge(fields: dict[str, Any], reason: str) -> None:
    found = decided(**fields)
    assert isinstance(found, Hold), found
    assert found.reason == reason
    assert found.desired in {None, 1}


def test_a_replica_that_the_load_needs_is_no_surge() -> None:
    found = decided(busy=0.95)
    assert isinstance(found, Change), found
    assert (found.desired, found.reason) == (2, "Utilization")


def test_more_than_one_replica_wishes_for_none_but_where_a_person_wants_every_trial_so() -> None:
    two = attached_target(2)
    assert decided(two).desired == 2
    found = decided(two, spec={"trial": RULES | {"design": "Surge"}})
    assert isinstance(found, Change), found
    assert (found.desired, found.reason) == (3, "Surge")


def test_a_search_that_goes_on_may_surge_again_once_a_trial_came_of_it() -> None:
    made = a_trial("chat-1", status={"phase": "Finished", "verdict": "Inconclusive"}, created=-900.0,
                   change={"knob": "cacheMemory", "from": "0", "to": "1Mi"})  # fmt: skip
    back = {"history": [entry((1, 2), WHY, 1100.0), entry((2, 1), "Utilization: idle", 600.0)]}
    found = decided(status=back, trials=(made,))
    assert isinstance(found, Change), found
    assert found.reason == "Surge"


# While it is awaited

AWAITED: list[tuple[str, dict[str, Any], type, int, str]] = [
    ("it-starts", {"target": starting(), "status": surged(60.0)}, Hold, 2, "SurgeAwaited"),
    ("it-attaches", {"target": attached_target(), "status": surged(590.0),
     "engines": engines(None, an_engine(pod="chat-1", attached=False))}, Hold, 2, "SurgeAwaited"),
    ("it-found-no-node", {"target": starting(node=None, unschedulable_since=NOW - 90.0,
     unschedulable_message="no GPU left"), "status": surged(95.0)}, Change, 1, "Unschedulable"),
    ("it-does-not-serve-in-time", {"target": starting(), "status": surged(601.0)}, Change, 1, "SurgeTooLate"),
    ("it-may-still-serve-in-time", {"target": starting(), "status": surged(600.0)}, Hold, 2, "SurgeAwaited"),
    ("nobody-knows-what-is-used", {"target": starting(), "status": surged(601.0), "busy": 9.0}, Hold, 2,
     "MetricsUntrusted"),
    ("it-starts-as-slowly-as-its-sibling", {"target": attached_target(pods=(
        *attached_pods(1, created_at=NOW - 4200.0, ready_at=NOW - 3600.0), added()), count=2),
     "status": surged(1150.0)}, Hold, 2, "SurgeAwaited"),
    ("it-came-too-late-for-that-too", {"target": attached_target(pods=(
        *attached_pods(1, created_at=NOW - 4100.0, ready_at=NOW - 3600.0), added()), count=2),
     "status": surged(1150.0)}, Change, 1, "SurgeTooLate"),
    ("a-trial-is-about-to-be-made", {"target": attached_target(), "status": surged(900.0), "busy": 0.2}, Hold, 2,
     "TrialRunning"),
    ("a-trial-is-under-way", {"target": attached_target(), "busy": 0.2,
     "status": surged(900.0) | {"currentTrial": "chat-1"}}, Hold, 2, "TrialRunning"),
    ("no-trial-came-of-it", {"target": attached_target(), "status": surged(900.0), "busy": 0.2,
     "engines": engines(None, an_engine(pod="chat-1", attached=False))}, Change, 1, "Utilization"),
    ("its-trial-is-over", {"target": attached_target(), "status": surged(900.0), "busy": 0.2, "trials": (TRIED,),
     "spec": {"trial": RULES | {"maxTrials": 1}}}, Change, 1, "Utilization"),
    ("its-trial-was-short", {"target": attached_target(), "status": surged(400.0), "busy": 0.2,
     "trials": (a_trial(status=TRIED.status.to_body(), created=-300.0),), "spec": {"trial": RULES | {"maxTrials": 1}}},
     Change, 1, "Utilization"),
    ("it-was-of-an-earlier-search", {"target": starting(), "status": surged(1300.0)}, Hold, 2, "InFlight"),
    ("the-load-came-to-need-it", {"target": starting(), "status": surged(700.0), "busy": 1.0}, Hold, 2, "Steady"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "kind", "desired", "reason"), [pytest.param(*row[1:], id=row[0]) for row in AWAITED]
)
def test_the_replica_is_kept_while_a_trial_may_come_of_it_and_no_longer(
    fields: dict[str, Any], kind: type, desired: int, reason: str
) -> None:
    found = decided(**{"busy": 0.3, **fields})
    assert (type(found), found.desired, found.reason) == (kind, desired, reason), found


def test_it_is_taken_back_at_once_and_for_its_own_reason_while_it_does_not_serve() -> None:
    found = decided(starting(), status=surged(601.0), busy=0.3)
    assert found.message == "the replica that was added for a trial did not serve within 10 min"
    slow = attached_pods(1, created_at=NOW - 4100.0, ready_at=NOW - 3600.0)  # took 500 s, of which twice is allowed
    later = decided(attached_target(pods=(*slow, added()), count=2), status=surged(1150.0), busy=0.3)
    assert later.message == "the replica that was added for a trial did not serve within 17 min"


def test_while_it_is_awaited_that_is_said_with_what_it_is_for() -> None:
    found = decided(starting(), status=surged(60.0), busy=0.3)
    assert found.message == f"a replica was added for a trial, which is not made yet: {WHY}"


# What the ledger tells

CHANGES = st.lists(
    st.tuples(st.sampled_from(["Surge: x", "Utilization: y", "Unschedulable: z"]), st.integers(1, 4)), max_size=8
)


def told(changes: list[tuple[str, int]], *, start: int = 1) -> PolicyStatus:
    before, history = start, []
    for number, (why, after) in enumerate(changes):
        history.append(entry((before, after), why, 1000.0 - number))
        before = after
    return PolicyStatus.model_validate({"history": history, "baseline": BASELINE})


@given(changes=CHANGES, replicas=st.integers(1, 4))
def test_a_surge_stands_or_was_in_vain_and_never_both(changes: list[tuple[str, int]], replicas: int) -> None:
    status = told(changes)
    stands, vain = standing_surge(status, replicas), vain_surge(status, ())
    assert stands is None or vain is None
    assert (stands is not None) == (bool(changes) and changes[-1] == ("Surge: x", replicas))
    assert vain is None or vain in status.history[1:]


def test_what_was_done_before_the_baseline_was_taken_tells_nothing() -> None:
    early = PolicyStatus.model_validate({"history": surged(2000.0)["history"], "baseline": BASELINE})
    assert standing_surge(early, 2) is None
    just = PolicyStatus.model_validate({"history": surged(1200.0)["history"], "baseline": BASELINE})
    assert standing_surge(just, 2) == just.history[0], "as the baseline was taken"
    unknown = PolicyStatus.model_validate({"history": surged(100.0)["history"]})
    assert (standing_surge(unknown, 2), vain_surge(unknown, ())) == (None, None)


def test_a_surge_that_more_replicas_followed_was_not_in_vain() -> None:
    assert vain_surge(told([("Surge: x", 2), ("Utilization: y", 3)]), ()) is None


def test_a_trial_that_was_made_before_the_surge_or_after_its_replica_was_gone_is_no_use_of_it() -> None:
    status = told([("Surge: x", 2), ("Unschedulable: z", 1)])  # 1000 and 999 seconds ago
    for created, used in ((-1001.0, False), (-1000.0, True), (-999.0, True), (-998.0, False)):
        assert (vain_surge(status, (a_trial(created=created),)) is None) is used


def test_a_trial_without_a_time_is_no_use_of_a_surge() -> None:
    status = told([("Surge: x", 2), ("Unschedulable: z", 1)])
    bare = TRIED.model_copy(update={"metadata": TRIED.metadata.model_copy(update={"creation_timestamp": None})})
    assert vain_surge(status, (bare,)) == status.history[1]
