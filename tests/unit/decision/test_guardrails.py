"""Each guardrail by itself: the sentence with which it holds something back, and the number from which on it does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.batching import FIRST_TOKEN, batching
from fakes.builders import NOW, a_pod, a_policy, a_reading, a_series, a_snapshot, a_target
from fakes.ledger import an_entry
from fakes.stands import SURGED, a_tuned_policy, a_tuned_snapshot, attached_target

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.decision.decide import decide
from trimtab_operator.model.decision import Decision
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Pod, Snapshot, Target

RPS, BUSY, MEMORY = Signal.REQUESTS_PER_SECOND, Signal.BUSY_RATIO, Signal.GPU_MEMORY_USED_RATIO
LATENCY = {"objectives": {"latency": {"max": "200ms"}}}
LIMIT = {"objectives": {"gpuMemoryRatio": {"max": "0.90"}}}
CHAT = {"objectives": FIRST_TOKEN}
SCALING = {"minReplicas": 1, "maxReplicas": 8, "stabilization": "5m", "maxStep": 4}
IDLE = {"rps": 5.0, "busy": 0.1}
OVERLOAD = {"rps": 80.0, "errors": 40.0, "busy": 1.0, "queue": 200.0}
WAITING = {"latency": 1.0, "waiting": 0.9, "queue": 12.0, "busy": 0.7}


def decided(snapshot: Snapshot, **policy: Any) -> Decision:
    made = a_policy(**policy)
    return decide(snapshot, analyze(snapshot, made), made)


def noted(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"status": {"history": [entry | {"id": f"e{number}"} for number, entry in enumerate(entries)]}}


def no_node(seconds_ago: float) -> dict[str, Any]:
    return an_entry(why="Unschedulable: no GPU", at=NOW - seconds_ago)


def too_few(requests_per_second: str) -> dict[str, Any]:
    return an_entry(why="ObjectiveViolated: slow", at=NOW - 3600.0, requestsPerSecond=requests_per_second)


def starting(name: str = "late", age: float = 30.0, **overrides: Any) -> Pod:
    return a_pod(name, ready=False, ready_at=None, created_at=NOW - age, **overrides)


def stuck(name: str, seconds: float) -> Pod:
    return starting(name, age=seconds, unschedulable_since=NOW - seconds, unschedulable_message="no GPU left")


def fleet(ready: int, *more: Pod, **fields: Any) -> Target:
    serving = tuple(a_pod(f"chat-{number}") for number in range(ready))
    return a_target(ready + len(more), pods=(*serving, *more), **fields)


def memory(value: float) -> dict[Signal, Any]:
    return {MEMORY: a_reading(MEMORY, {"chat-0": value, "chat-1": value})}


def just_ready(seconds: float = 10.0) -> Pod:
    return a_pod("young", created_at=NOW - 40.0, ready_at=NOW - seconds)


HELD: list[tuple[str, Snapshot, dict[str, Any], str]] = [
    ("dead-band", a_snapshot(busy=0.83), {}, "within the dead band of 5%: busy_ratio is at 0.83 of its limit"),
    ("no-node", a_snapshot(target=fleet(2, stuck("a", 90.0), stuck("b", 90.0)), busy=1.0), {},
     "2 of 4 replicas found no node: no GPU left"),
    ("asks-again", a_snapshot(busy=1.0), noted(no_node(29.0)), "replicas found no node; asking again in 5 min"),
    ("asks-again-soon", a_snapshot(busy=1.0), noted(no_node(290.0)), "replicas found no node; asking again in 1 min"),
    ("asks-for-one", a_snapshot(**OVERLOAD), noted(no_node(400.0)), "one more, to see if it fits: busy_ratio is at"),
    ("not-ready", a_snapshot(target=fleet(2, starting()), **OVERLOAD), {}, "1 of 3 replicas are not ready"),
    ("just-ready", a_snapshot(target=fleet(1, just_ready()), busy=0.95), {},
     "1 replicas have just become ready: not measured yet"),
    ("rollout", a_snapshot(target=fleet(2, rolling_out=True), **IDLE), {},
     "nothing is removed during a rollout of the target"),
    ("starts", a_snapshot(target=fleet(2, starting()), **IDLE), {}, "nothing is removed while replicas are not ready"),
    ("slow", a_snapshot(latency=1.0, **IDLE), LATENCY, "nothing is removed while latency is violated"),
    ("changed", a_snapshot(**IDLE), noted(an_entry(at=NOW - 29.0)),
     "replicas changed a short while ago; next look in 5 min"),
    ("changed-nearly-long-ago", a_snapshot(**IDLE), noted(an_entry(at=NOW - 290.0)),
     "replicas changed a short while ago; next look in 1 min"),
    ("a-trial", a_snapshot(**IDLE), {"status": {"currentTrial": "chat-1"}},
     "nothing is removed while trial chat-1 is under way"),
    ("short-past", a_snapshot(history={RPS: a_series(RPS, 5.0, seconds=150.0)}, **IDLE), {},
     "measurements do not cover the last 5m (scaling.stabilization) yet"),
    ("peak", a_snapshot(rps=40.0, busy=0.3, history={RPS: a_series(RPS, 100.0)}), {},
     "3 replicas are needed for the largest load of the last 5m (scaling.stabilization)"),
    ("remembered", a_snapshot(rps=20.0, busy=0.3), noted(too_few("21")),
     "1 replicas violated an objective at 21 requests/s"),
    ("a-step", a_snapshot(**OVERLOAD), {"scaling": SCALING | {"maxStep": 1}},
     "at most 1 at once (scaling.maxStep): busy_ratio is at"),
    ("least", a_snapshot(rps=1.0, busy=0.01), {"scaling": SCALING | {"minReplicas": 2}},
     "spec.scaling.minReplicas is 2: busy_ratio is at"),
    ("most", a_snapshot(replicas=8, rps=400.0, busy=1.0), {},
     "spec.scaling.maxReplicas is 8: busy_ratio is at"),
    ("a-queue", a_snapshot(**WAITING), LATENCY, "requests wait too long for an objective; busy_ratio is at 0.70"),
    ("full-memory", a_snapshot(readings=memory(0.95)), LIMIT, "GPU memory is 1.06 of its limit; busy_ratio is at"),
]  # fmt: skip


@pytest.mark.parametrize(("snapshot", "policy", "text"), [pytest.param(*case[1:], id=case[0]) for case in HELD])
def test_what_is_held_back_or_asked_for_is_said_in_words(snapshot: Snapshot, policy: dict[str, Any], text: str) -> None:
    assert decided(snapshot, **policy).message.startswith(text)


def test_that_a_trial_is_about_to_be_made_is_said_where_it_keeps_a_replica() -> None:
    snapshot = a_tuned_snapshot(target=attached_target(), busy=0.2)
    spec = {"scaling": SCALING, "knobs": {"cache": {"memory": {"max": "64Mi"}}}}
    old = {"history": [entry | {"at": an_entry(at=NOW - 900.0)["at"]} for entry in SURGED["history"]]}
    policy = a_tuned_policy(status=old, **spec)
    found = decide(snapshot, analyze(snapshot, policy), policy)
    assert found.message == "nothing is removed while a trial is about to be made"


AT_BOUND: list[tuple[str, Snapshot, dict[str, Any], int, str]] = [
    ("memory-at-its-limit", a_snapshot(readings=memory(0.9)), LIMIT, 2, "Steady"),
    ("just-a-twentieth-more-is-needed", a_snapshot(replicas=20, busy=0.84), {"scaling": SCALING | {"maxReplicas": 40}},
     20, "Steady"),
    ("unschedulable-for-just-a-minute", a_snapshot(target=fleet(2, stuck("a", 60.0)), **OVERLOAD), {}, 3, "InFlight"),
    ("just-not-long-enough-ago", a_snapshot(**OVERLOAD), noted(no_node(299.5)), 2, "Unschedulable"),
    ("just-long-enough-ago", a_snapshot(**OVERLOAD), noted(no_node(300.0)), 3, "Utilization"),
    ("twice-as-long-the-second-time", a_snapshot(**OVERLOAD), noted(no_node(1200.0), no_node(601.0)), 3,
     "Utilization"),
    ("forgotten-after-an-hour", a_snapshot(**OVERLOAD), noted(no_node(3600.0)), 6, "Utilization"),
    ("still-starting-after-ten-minutes", a_snapshot(target=fleet(1, starting(age=600.0)), **OVERLOAD), {}, 2,
     "InFlight"),
    ("a-tenth-is-just-ready", a_snapshot(target=fleet(18, just_ready(), replace(just_ready(), name="young-1")),
     rps=400.0, busy=0.98), {"scaling": SCALING | {"maxReplicas": 40}}, 24, "Utilization"),
    ("ready-for-as-long-as-is-measured", a_snapshot(target=fleet(1, just_ready(20.0)), busy=0.95), {}, 3,
     "Utilization"),
    ("half-of-those-that-batch-are-broken-and-one-starts", batching([30.0] * 120, target=fleet(2, starting("a", 900.0),
     starting("b", 900.0), starting("c", 900.0), starting(), runtime="vllm"), pressure=1.2, kv=0.0, waiting=2200.0),
     CHAT, 7, "Utilization"),
    ("changed-just-not-long-enough-ago", a_snapshot(**IDLE), noted(an_entry(at=NOW - 299.5)), 2, "Stabilizing"),
    ("changed-just-long-enough-ago", a_snapshot(**IDLE), noted(an_entry(at=NOW - 300.0)), 1, "Utilization"),
    ("a-demand-just-high-enough-to-be-remembered", a_snapshot(rps=17.0, busy=0.3), noted(too_few("20")), 2,
     "ObjectiveViolated"),
    ("a-demand-just-too-low", a_snapshot(rps=16.9, busy=0.3), noted(too_few("20")), 1, "Utilization"),
    ("all-are-needed-for-the-peak", a_snapshot(replicas=4, rps=40.0, busy=0.15, history={RPS: a_series(RPS, 170.0)}),
     {}, 4, "Stabilizing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("snapshot", "policy", "desired", "reason"), [pytest.param(*case[1:], id=case[0]) for case in AT_BOUND]
)
def test_a_guardrail_holds_up_to_its_bound_and_no_further(
    snapshot: Snapshot, policy: dict[str, Any], desired: int, reason: str
) -> None:
    found = decided(snapshot, **policy)
    assert (found.desired, found.reason) == (desired, reason), found.message
