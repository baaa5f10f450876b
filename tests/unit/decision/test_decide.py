"""What the load needs, what each guardrail leaves of it, and what may be done at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.batching import FIRST_TOKEN, batching
from fakes.builders import NOW, a_pod, a_policy, a_reading, a_series, a_snapshot, a_target
from fakes.ledger import an_entry, replicas

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.decide import decide
from trimtab_operator.model.decision import Change, Decision, Hold
from trimtab_operator.model.signals import Series, Signal
from trimtab_operator.model.snapshot import Pod, ReplicasOwner, Snapshot, Target, TargetProblem

RPS, BUSY, QUEUE, MEMORY = (
    Signal.REQUESTS_PER_SECOND,
    Signal.BUSY_RATIO,
    Signal.QUEUE_REQUESTS,
    Signal.GPU_MEMORY_USED_RATIO,
)
LATENCY = {"objectives": {"latency": {"max": "200ms"}}}
LIMIT = {"objectives": {"gpuMemoryRatio": {"max": "0.90"}}}


def decided(snapshot: Snapshot, **policy: Any) -> Decision:
    made = a_policy(**policy)
    return decide(snapshot, analyze(snapshot, made), made)


def history(*entries: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"status": {"history": list(entries)} | status}


def pods(ready: int, *more: Pod) -> tuple[Pod, ...]:
    return (*(a_pod(f"chat-{number}") for number in range(ready)), *more)


def starting(name: str = "chat-9", age: float = 30.0, **overrides: Any) -> Pod:
    return a_pod(name, ready=False, ready_at=None, created_at=NOW - age, **overrides)


def stuck(name: str = "chat-9", seconds: float = 90.0) -> Pod:
    return starting(name, age=seconds, unschedulable_since=NOW - seconds, unschedulable_message="no GPU left")


def memory(value: float) -> dict[Signal, Any]:
    return {MEMORY: a_reading(MEMORY, {"chat-0": value, "chat-1": value})}


def young() -> Target:
    return a_target(pods=(a_pod("chat-0"), a_pod("chat-1", created_at=NOW - 40.0, ready_at=NOW - 10.0)))


def over(seconds: float, rps: float = 5.0, busy: float = 0.1) -> dict[Signal, Series]:
    return {RPS: a_series(RPS, rps, seconds=seconds), BUSY: a_series(BUSY, busy, seconds=seconds)}


def batches(sequences: float, target: Target | None = None, *, before: float | None = None, **more: Any) -> Snapshot:
    """A vLLM target that is full with 20 sequences at each replica; `before` ran until a minute and a half ago."""
    running = [sequences if before is None else before] * 114 + [sequences] * 6
    return batching(running, target=target, pressure=(30.0 + sequences) / 50.0, kv=0.0, **more)


def of_vllm(replicas: int, *more: Pod) -> Target:
    return a_target(replicas, pods=pods(2, *more), runtime="vllm")


CHAT = {"objectives": FIRST_TOKEN}
OVERLOAD = a_snapshot(rps=80.0, errors=40.0, busy=1.0, queue=200.0)
WAITING = {"latency": 1.0, "waiting": 0.9, "queue": 12.0, "busy": 0.7}
SCALING = {"minReplicas": 1, "maxReplicas": 8, "stabilization": "5m", "maxStep": 4}

# name, snapshot, policy, kind of decision, desired, uncapped, reason
CASES: list[tuple[str, Snapshot, dict[str, Any], type, int | None, int | None, str]] = [
    ("half-used", a_snapshot(), {}, Hold, 2, 2, "Steady"),
    ("busy", a_snapshot(busy=0.95), {}, Change, 3, 3, "Utilization"),
    ("in-the-dead-band", a_snapshot(busy=0.83), {}, Hold, 2, 3, "Steady"),
    ("just-above-the-dead-band", a_snapshot(busy=0.85), {}, Change, 3, 3, "Utilization"),
    # 2 replicas serve 40/s at full use; 40/s more wait or are refused: (80 + 200/10) / (20 * 0.8) = 6.25
    ("saturated-demand-counts", OVERLOAD, {}, Change, 6, 7, "Utilization"),
    ("unknown-capacity-uses-utilization", a_snapshot(busy=0.95, readings={RPS: a_reading(RPS, {"chat-0": 0.1,
        "chat-1": 0.1})}), {}, Change, 3, 3, "Utilization"),
    ("idle", a_snapshot(rps=0.0, busy=0.0), {}, Change, 1, 1, "Utilization"),
    ("objective-violated-in-the-queue", a_snapshot(**WAITING), LATENCY, Change, 3, 3, "ObjectiveViolated"),
    ("queue-without-an-objective", a_snapshot(**WAITING), {}, Hold, 2, 2, "Steady"),
    ("objective-violated-by-compute", a_snapshot(latency=1.0), LATENCY, Hold, 2, 2, "Steady"),
    ("memory-over-its-limit", a_snapshot(readings=memory(0.95)), LIMIT, Change, 3, 3, "GpuMemory"),
    ("memory-once-only", a_snapshot(readings=memory(0.95)),
     LIMIT | history(an_entry(why="GpuMemory: over", at=NOW - 3600)), Hold, 2, 2, "Steady"),
    ("memory-below-its-limit", a_snapshot(readings=memory(0.85)), LIMIT, Hold, 2, 2, "Steady"),
    ("untrusted", a_snapshot(busy=9.0), {}, Hold, 2, 3, "MetricsUntrusted"),
    ("use-not-known", a_snapshot(readings={BUSY: a_reading(BUSY, {})}), {}, Hold, 2, 2, "MetricsUntrusted"),
    ("untrusted-never-down", a_snapshot(rps=0.0, busy=0.0, readings={QUEUE: a_reading(QUEUE, {})}), {}, Hold, 2, 1,
     "MetricsUntrusted"),
    ("not-ready-yet", a_snapshot(target=a_target(3, pods=pods(2, starting())), busy=1.0), {}, Hold, 3, 3, "Steady"),
    ("credited-in-flight", a_snapshot(target=a_target(3, pods=pods(2, starting())), rps=80.0, errors=40.0,
     busy=1.0), {}, Hold, 3, 5, "InFlight"),
    ("just-ready-not-seen-yet", a_snapshot(target=young(), busy=0.95), {}, Hold, 2, 3, "InFlight"),
    ("one-of-ten-broken", a_snapshot(target=a_target(10, pods=pods(9, starting(age=900.0))), busy=0.98),
     {"scaling": SCALING | {"maxReplicas": 20}}, Change, 12, 12, "Utilization"),
    ("unready-under-load", a_snapshot(target=a_target(2, pods=pods(1, starting(age=900.0))), rps=80.0, busy=1.0,
     errors=40.0), {}, Change, 3, 3, "Utilization"),
    ("most-of-them-broken", a_snapshot(target=a_target(3, pods=pods(1, starting("a", 900.0), starting("b", 900.0))),
     rps=160.0, busy=1.0, errors=120.0), {}, Hold, 3, 5, "InFlight"),
    ("ready-again-after-a-flap", a_snapshot(target=a_target(pods=(a_pod("a"), a_pod("b", ready_at=NOW - 5.0))),
     busy=0.95), {}, Change, 3, 3, "Utilization"),
    ("ready-since-an-unknown-time", a_snapshot(target=a_target(pods=(a_pod("chat-0"), a_pod("chat-1", ready_at=None,
     created_at=NOW - 5.0))), busy=0.95), {}, Hold, 2, 3, "InFlight"),
    ("unschedulable-taken-back", a_snapshot(target=a_target(4, pods=pods(2, stuck("a"), stuck("b"))), busy=1.0), {},
     Change, 2, 3, "Unschedulable"),
    ("unschedulable-for-half-a-minute", a_snapshot(target=a_target(4, pods=pods(2, stuck("a", 30), stuck("b", 30))),
     busy=1.0), {}, Hold, 4, 3, "InFlight"),
    ("unschedulable-but-the-minimum", a_snapshot(target=a_target(3, pods=pods(2, stuck())), busy=1.0),
     {"scaling": SCALING | {"minReplicas": 3}}, Hold, 3, 3, "Unschedulable"),
    ("unschedulable-during-a-rollout", a_snapshot(target=a_target(3, pods=pods(2, stuck()), rolling_out=True)), {},
     Hold, 3, 2, "RolloutInProgress"),
    ("backing-off", a_snapshot(busy=1.0), history(an_entry(why="Unschedulable: no GPU", at=NOW - 200)), Hold, 2, 3,
     "Unschedulable"),
    ("asking-again-for-one", OVERLOAD, history(an_entry(why="Unschedulable: no GPU", at=NOW - 301)), Change, 3, 7,
     "Utilization"),
    ("longer-after-the-second-time", a_snapshot(busy=1.0), history(
        an_entry(id="a", why="Unschedulable: no GPU", at=NOW - 1200),
        an_entry(id="b", why="Unschedulable: no GPU", at=NOW - 400)), Hold, 2, 3, "Unschedulable"),
    ("forgotten-after-an-hour", a_snapshot(busy=1.0), history(an_entry(why="Unschedulable: no GPU", at=NOW - 3601)),
     Change, 3, 3, "Utilization"),
    ("no-down-in-a-rollout", a_snapshot(target=a_target(2, rolling_out=True), rps=5, busy=0.1), {}, Hold, 2, 1,
     "RolloutInProgress"),
    ("no-down-while-pods-start", a_snapshot(target=a_target(3, pods=pods(2, starting())), rps=5, busy=0.1), {}, Hold, 3,
     1, "InFlight"),
    ("no-down-while-a-guard-is-violated", a_snapshot(rps=5, busy=0.1, latency=1.0), LATENCY, Hold, 2, 1,
     "ObjectiveViolated"),
    ("no-down-soon-after-a-change", a_snapshot(rps=5, busy=0.1), history(an_entry(at=NOW - 200)), Hold, 2, 1,
     "Stabilizing"),
    ("down-long-after-a-change", a_snapshot(rps=5, busy=0.1), history(an_entry(at=NOW - 301)), Change, 1, 1,
     "Utilization"),
    ("no-down-during-a-trial", a_snapshot(rps=5, busy=0.1), {"status": {"currentTrial": "chat-1"}}, Hold, 2, 1,
     "TrialRunning"),
    ("no-down-on-half-a-stabilisation", a_snapshot(rps=5, busy=0.1, history=over(150.0)), {}, Hold, 2, 1,
     "Stabilizing"),
    ("no-down-without-the-load-of-it", a_snapshot(rps=5, busy=0.1, history={RPS: over(150.0)[RPS]}), {}, Hold, 2, 1,
     "Stabilizing"),
    ("no-down-below-the-peak", a_snapshot(rps=40, busy=0.3, history={RPS: a_series(RPS, 100.0)}), {}, Hold, 2, 1,
     "Steady"),
    ("no-down-far-below-the-peak", a_snapshot(replicas=4, rps=40, busy=0.15, history={RPS: a_series(RPS, 200.0)}), {},
     Hold, 4, 1, "Stabilizing"),
    ("down-to-what-the-peak-leaves", a_snapshot(replicas=4, rps=40, busy=0.2, history={RPS: a_series(RPS, 70.0)}), {},
     Change, 2, 1, "Utilization"),
    ("down-without-counted-requests", a_snapshot(target=a_target(2, runtime="unknown"), readings={
        RPS: a_reading(RPS, {}), BUSY: a_reading(BUSY, {}),
        Signal.CPU_USED_CORES: a_reading(Signal.CPU_USED_CORES, {"chat-0": 0.1, "chat-1": 0.1})},
        history={Signal.CPU_USED_CORES: a_series(Signal.CPU_USED_CORES, 0.2)}), {}, Change, 1, 1, "Utilization"),
    ("remembers-what-was-too-few", a_snapshot(rps=20, busy=0.3), history(
        an_entry(why="ObjectiveViolated: waiting", at=NOW - 3600, requestsPerSecond="21")), Hold, 2, 1,
     "ObjectiveViolated"),
    ("forgets-it-when-the-load-is-less", a_snapshot(rps=10, busy=0.15), history(
        an_entry(why="ObjectiveViolated: waiting", at=NOW - 3600, requestsPerSecond="21")), Change, 1, 1,
     "Utilization"),
    ("cannot-remember-an-unknown-demand", a_snapshot(rps=20, busy=0.3), history(
        an_entry(why="ObjectiveViolated: waiting", at=NOW - 3600)), Change, 1, 1, "Utilization"),
    ("remembers-one-of-many", a_snapshot(replicas=5, rps=20, busy=0.1), history(
        an_entry(why="ObjectiveViolated: w", at=NOW - 3600, requestsPerSecond="21", **{"from": "2", "to": "3"})),
     Change, 3, 1, "ObjectiveViolated"),
    ("at-most-maxStep-up", OVERLOAD, {"scaling": SCALING | {"maxStep": 1}}, Change, 3, 7, "Utilization"),
    ("at-most-maxStep-down", a_snapshot(replicas=8, rps=1, busy=0.01), {}, Change, 4, 1, "Utilization"),
    ("never-above-the-maximum", a_snapshot(replicas=8, rps=400.0, busy=1.0), {}, Hold, 8, 10, "AtMaxReplicas"),
    ("never-below-the-minimum", a_snapshot(rps=1, busy=0.01), {"scaling": SCALING | {"minReplicas": 2}}, Hold, 2, 1,
     "AtMinReplicas"),
    ("above-the-maximum-at-once-though-untrusted", a_snapshot(replicas=20, busy=9.0), {}, Change, 8, 25,
     "AboveMaxReplicas"),
    ("below-the-minimum-at-once-though-untrusted", a_snapshot(replicas=1, busy=9.0),
     {"scaling": SCALING | {"minReplicas": 7}}, Change, 7, 2, "BelowMinReplicas"),
    # A tenth too slow counts as a twentieth: two replicas with 25 each fill 2 x 25/55 / (22.4/52.4) = 2.13; with 30
    # each, and 40 that wait, 2.11 + 40/27.1 = 3.58.
    ("sequences-beyond-full", batches(25.0), CHAT, Change, 3, 3, "Utilization"),
    ("sequences-in-the-dead-band", batches(18.5), CHAT, Hold, 2, 3, "Steady"),
    ("sequences-half-full", batches(10.0), CHAT, Hold, 2, 2, "Steady"),
    ("few-sequences", batches(3.0, replicas=3), CHAT, Change, 1, 1, "Utilization"),
    ("few-sequences-after-many", batches(4.0, replicas=3, before=16.0), CHAT, Hold, 3, 1, "Stabilizing"),
    ("few-sequences-for-half-a-stabilisation", batching([3.0] * 10, replicas=3, pressure=0.66, kv=0.0), CHAT, Hold,
     3, 1, "Stabilizing"),
    # Ten minutes say little of what may come: an eighth more than the load of 2, and than the peak.
    ("full-with-sequences-and-a-short-past", batching([20.0] * 40, kv=0.0), CHAT, Change, 3, 3, "Utilization"),
    ("few-sequences-and-a-short-past", batching([11.7] * 34 + [5.0] * 6, replicas=4, pressure=0.7, kv=0.0), CHAT, Hold,
     4, 2, "Stabilizing"),
    ("sequences-beyond-those-on-their-way", batches(30.0, of_vllm(3, starting()), waiting=500.0), CHAT,
     Change, 4, 4, "Utilization"),
    ("sequences-for-those-on-their-way", batches(25.0, of_vllm(3, starting())), CHAT, Hold, 3, 3, "Steady"),
    ("sequences-while-most-are-broken", batches(30.0, of_vllm(5, *(starting(name, 900.0) for name in "abc")),
     waiting=1500.0), CHAT, Hold, 5, 6, "InFlight"),
    ("no-scaling", a_snapshot(), {"scaling": None}, Hold, None, None, "NoScalingBlock"),
    ("invalid", a_snapshot(), {"scaling": SCALING | {"minReplicas": 9}}, Hold, None, None, "InvalidSpec"),
    ("turned-off", a_snapshot(target=a_target(0)), {}, Hold, None, None, "ScaledToZero"),
    ("no-target", Snapshot(now=NOW, target=TargetProblem("NotFound", "gone")), {}, Hold, None, None, "NotFound"),
]  # fmt: skip


@pytest.mark.parametrize(("snapshot", "policy", "expected"), [pytest.param(c[1], c[2], c[3:], id=c[0]) for c in CASES])
def test_the_decision_keeps_the_wish_beside_what_was_allowed(
    snapshot: Snapshot, policy: dict[str, Any], expected: tuple[type, int | None, int | None, str]
) -> None:
    found = decided(snapshot, **policy)
    assert (type(found), found.desired, found.uncapped, found.reason) == expected, found.message
    assert found.message


def test_the_use_of_the_fullest_resource_is_said_as_a_share_of_its_limit_whatever_its_unit() -> None:
    found = decided(a_snapshot(busy=0.95))
    assert found.message.startswith("busy_ratio is at 0.95 of its limit, demand 40 requests/s")


def test_a_load_in_replicas_is_explained_by_what_fills_one_and_what_is_kept_ready() -> None:
    found = decided(batches(25.0), **CHAT)
    assert found.message.startswith(
        "the load fills 2.27 replicas of 20 sequences each, and 1.08 times that is to be ready"
    )


def test_why_nothing_is_decided_is_said_beside_the_replicas_that_there_are() -> None:
    assert decided(a_snapshot(), scaling=None) == Hold("NoScalingBlock", "spec.scaling is absent", current=2)
    off = Hold("ScaledToZero", "Deployment chat is scaled to 0: somebody turned it off", current=0)
    assert decided(a_snapshot(target=a_target(0))) == off
    gone = Snapshot(now=NOW, target=TargetProblem("NotFound", "no Deployment prod/chat"))
    assert decided(gone) == Hold("NotFound", "no Deployment prod/chat")
    upside_down = decided(a_snapshot(), scaling=SCALING | {"minReplicas": 9})
    assert (upside_down.reason, upside_down.current, upside_down.desired) == ("InvalidSpec", 2, None)
    assert "minReplicas" in upside_down.message


def test_a_decision_carries_the_evidence_of_the_wish_and_all_its_numbers() -> None:
    policy = a_policy()
    carried = analyze(BUSY_FLEET, policy).capacity
    assert carried is not None
    change = decided(BUSY_FLEET)
    assert isinstance(change, Change)
    assert (change.kind, change.current, change.evidence) == ("Scale", 2, carried.evidence)
    steady, forbidden = decided(a_snapshot()), decided(BUSY_FLEET, mode="Recommend")
    assert steady.evidence
    assert steady.current == 2
    assert isinstance(forbidden, Hold)
    assert (forbidden.evidence, forbidden.uncapped) == (carried.evidence, 3)
    assert forbidden.message == (
        "spec.mode is Recommend: the number is published, nothing is changed. Utilization: " + change.message
    )
    assert decided(BUSY_FLEET, mode="Paused") == Hold("Paused", "spec.mode is Paused: nothing is changed", 2)


FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]
HELM = ReplicasOwner("Manifest", "helm")
BUSY_FLEET = a_snapshot(busy=0.95)

REFUSED: list[tuple[str, Snapshot, dict[str, Any], str, int | None]] = [
    ("recommend", BUSY_FLEET, {"mode": "Recommend"}, "RecommendOnly", 3),
    ("paused", BUSY_FLEET, {"mode": "Paused"}, "Paused", None),
    ("kill-switch", replace(BUSY_FLEET, max_mode="Recommend"), {}, "MaxModeRecommend", 3),
    ("manifest", a_snapshot(target=a_target(replicas_owners=(HELM,)), busy=0.95), {}, "ReplicasInManifest", 3),
    ("taken", replace(BUSY_FLEET, taken_by="prod/older"), {}, "TargetTaken", 3),
    ("frozen", BUSY_FLEET, {"freeze": FREEZE}, "Frozen", 3),
    ("frozen-at-rest", a_snapshot(), {"freeze": FREEZE}, "Frozen", 2),
]


@pytest.mark.parametrize(
    ("snapshot", "policy", "reason", "desired"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED]
)
def test_what_may_not_be_done_is_still_published(
    snapshot: Snapshot, policy: dict[str, Any], reason: str, desired: int | None
) -> None:
    found = decided(snapshot, **policy)
    assert isinstance(found, Hold)
    assert (found.reason, found.desired, found.current) == (reason, desired, 2)


def test_a_freeze_lets_a_violated_guard_be_restored_but_nothing_be_removed() -> None:
    up = decided(a_snapshot(**WAITING), freeze=FREEZE, **LATENCY)
    assert isinstance(up, Change)
    down = decided(a_snapshot(rps=1, busy=0.01), freeze=FREEZE)
    assert (type(down), down.reason, down.desired) == (Hold, "Frozen", 1)


def test_a_freeze_does_not_yield_to_a_guard_that_holds() -> None:
    found = decided(BUSY_FLEET, freeze=FREEZE, objectives={"latency": {"max": "10s"}})
    assert (type(found), found.reason) == (Hold, "Frozen")


def standing(desired: int) -> dict[str, Any]:
    return {"mode": "Recommend", "status": {"replicas": replicas(2, desired)}}


@pytest.mark.parametrize(
    ("snapshot", "before", "desired"),
    [
        pytest.param(a_snapshot(busy=0.82), 3, 3, id="still-near-the-border"),
        pytest.param(a_snapshot(busy=0.5), 3, 2, id="no-longer-needed"),
        pytest.param(a_snapshot(busy=0.95), 2, 3, id="more-is-needed"),
        pytest.param(a_snapshot(rps=1, busy=0.37), 1, 1, id="fewer-stands-while-it-carries-the-load"),
        pytest.param(a_snapshot(rps=1, busy=0.5), 1, 2, id="fewer-no-longer-carries-it"),
        pytest.param(a_snapshot(busy=0.82), 20, 2, id="outside-the-bounds"),
        pytest.param(a_snapshot(busy=9.0), 3, 2, id="untrusted"),
        pytest.param(a_snapshot(busy=0.7, history=over(60.0)), 3, 3, id="peak-not-known"),
    ],
)
def test_a_recommendation_stands_while_it_is_as_good_as_a_new_one(
    snapshot: Snapshot, before: int, desired: int
) -> None:
    assert decided(snapshot, **standing(before)).desired == desired


def test_a_first_recommendation_has_nothing_to_stand_on() -> None:
    assert decided(BUSY_FLEET, mode="Recommend", status={"replicas": {"current": 2}}).desired == 3


def test_the_window_of_start_ups_is_twenty_seconds_where_no_reading_tells() -> None:
    readings = {signal: replace(each, window_seconds=0.0) for signal, each in a_snapshot(busy=0.95).readings.items()}
    gauges_only = replace(a_snapshot(target=young(), busy=0.95), readings=readings)
    analysis = analyze(a_snapshot(target=young(), busy=0.95), a_policy())
    assert decide(gauges_only, analysis, a_policy()).reason == "InFlight"
