"""Each condition by what the tick knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import CANARY, NOW, a_pod, a_policy, a_reading, a_series, a_snapshot, a_target, a_trial, at
from fakes.ledger import an_entry, an_intent
from fakes.stands import a_tuned_policy, a_tuned_snapshot, engines

from trimtab_api.conditions import Condition
from trimtab_api.policy_status import PolicyStatus
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import ReplicasOwner, Snapshot, TargetProblem
from trimtab_operator.runtimes.select import RUNTIMES
from trimtab_operator.trial.advance import advance

FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]
GONE = Snapshot(now=NOW, target=TargetProblem("NotFound", "gone"))
HPA = a_target(replicas_owners=(ReplicasOwner("HorizontalPodAutoscaler", "web"),))
STARTING = a_target(3, pods=(a_pod("chat-0"), a_pod("chat-1"), a_pod("chat-2", ready=False, created_at=NOW - 10.0)))
UNREADY = a_snapshot(target=a_target(1, pods=(a_pod(ready=False, ready_at=None),)))
BAD_ZONE = [FREEZE[0] | {"timeZone": "Mars/Base"}]
LATENCY = {"latency": {"max": "200ms"}}
BACKING_OFF = {"history": [an_entry(why="Unschedulable: none", at=NOW - 60.0)]}
NO_CACHE = {"cacheHitRatio": {"min": "0.8"}}
NO_GPU = {"gpuMemoryRatio": {"max": "0.9"}}
DISCOVERY = {"phase": "Discovery"}

CASES: list[tuple[str, str, str, Snapshot, dict[str, Any]]] = [
    ("Ready", "True", "Optimizing", a_snapshot(), {}),
    ("Ready", "True", "Observing", a_snapshot(), {"mode": "Recommend"}),
    ("Ready", "True", "Observing", a_snapshot(history={}), {"status": {"phase": "Unknown"}}),
    ("Ready", "True", "Paused", a_snapshot(), {"mode": "Paused"}),
    ("Ready", "False", "InvalidSpec", a_snapshot(), {"freeze": BAD_ZONE}),
    ("Ready", "False", "TargetNotFound", GONE, {}),
    ("Ready", "False", "MetricsUntrusted", a_snapshot(busy=9.0), {}),
    ("Ready", "Unknown", "MetricsUntrusted", UNREADY, {}),
    ("Ready", "False", "Conflicted", a_snapshot(target=HPA), {}),
    ("TargetResolved", "True", "Found", a_snapshot(), {}),
    ("TargetResolved", "False", "NotFound", GONE, {}),
    ("TargetResolved", "False", "Forbidden", replace(GONE, target=TargetProblem("Forbidden", "no right")), {}),
    ("TargetResolved", "False", "NotFound", replace(GONE, target=TargetProblem("Strange", "?")), {}),
    ("TargetResolved", "False", "NoPods", a_snapshot(target=a_target(2, pods=())), {}),
    ("TargetResolved", "True", "Found", a_snapshot(target=a_target(0)), {}),
    ("TargetResolved", "False", "UnknownRuntime", a_snapshot(target=a_target(runtime="unknown")), {}),
    ("MetricsTrusted", "True", "Fresh", a_snapshot(), {}),
    ("MetricsTrusted", "False", "Implausible", a_snapshot(busy=9.0), {}),
    ("MetricsTrusted", "Unknown", "Collecting", UNREADY, {}),
    ("ObjectivesMet", "True", "NoObjectives", a_snapshot(), {}),
    ("ObjectivesMet", "True", "AllMet", a_snapshot(), {"objectives": LATENCY}),
    ("ObjectivesMet", "True", "AllMet", a_snapshot(), {"objectives": LATENCY | NO_CACHE}),
    ("ObjectivesMet", "False", "Violated", a_snapshot(latency=1.0), {"objectives": LATENCY}),
    ("ObjectivesMet", "Unknown", "NotMeasured", a_snapshot(), {"objectives": NO_CACHE}),
    (
        "ObjectivesMet",
        "Unknown",
        "NotMeasured",
        a_snapshot(),
        {"objectives": LATENCY | {"gpuMemoryRatio": {"max": "1"}}},
    ),
    ("EngineAttached", "Unknown", "NotRequired", a_snapshot(), {"knobs": {}}),
    ("EngineAttached", "False", "NoTokenVolume", a_snapshot(), {}),
    ("Progressing", "False", "Steady", a_snapshot(), {}),
    ("Progressing", "True", "Scaling", a_snapshot(busy=0.95), {}),
    ("Progressing", "True", "Scaling", a_snapshot(target=STARTING), {}),
    ("Progressing", "True", "Scaling", GONE, {"status": {"phase": "Validation", "intent": an_intent()}}),
    ("Progressing", "True", "Baseline", a_snapshot(history={}), {"status": DISCOVERY}),
    ("Progressing", "False", "RecommendOnly", a_snapshot(), {"mode": "Recommend"}),
    ("Progressing", "False", "MaxModeRecommend", replace(a_snapshot(), max_mode="Recommend"), {}),
    ("Progressing", "False", "Paused", a_snapshot(), {"mode": "Paused"}),
    ("Progressing", "False", "Frozen", a_snapshot(), {"freeze": FREEZE}),
    ("Progressing", "False", "MetricsUntrusted", a_snapshot(busy=9.0), {}),
    ("Progressing", "False", "MetricsUntrusted", GONE, {}),
    ("Progressing", "False", "Conflicted", a_snapshot(target=HPA), {}),
    ("Progressing", "False", "Unschedulable", a_snapshot(busy=0.95), {"status": {"phase": "Validation"} | BACKING_OFF}),
    ("Conflict", "False", "None", a_snapshot(), {}),
    ("Conflict", "False", "None", GONE, {}),
    ("Conflict", "True", "HorizontalPodAutoscaler", a_snapshot(target=HPA), {}),
    ("Conflict", "True", "TargetTaken", a_snapshot(taken_by="prod/older"), {}),
]


@pytest.mark.parametrize(
    ("kind", "state", "reason", "snapshot", "policy"),
    [pytest.param(*case, id=f"{case[0]}-{case[2]}-{number}") for number, case in enumerate(CASES)],
)
def test_a_condition_says_how_it_stands_and_why(
    kind: str, state: str, reason: str, snapshot: Snapshot, policy: dict[str, Any]
) -> None:
    found = condition(kind, snapshot, policy)
    assert (found.status, found.reason) == (state, reason), found.message
    assert found.message


IDLE_PODS = "Deployment prod/chat has no pods: look at the events of its ReplicaSet"
UNKNOWN_RUNTIME = "container server of Deployment prod/chat runs no runtime that is known ("

MESSAGES: list[tuple[str, str, Snapshot, dict[str, Any]]] = [
    ("Ready", "spec.mode is Paused: the target is measured, nothing is changed", a_snapshot(), {"mode": "Paused"}),
    ("Ready", "the target is measured", a_snapshot(), {"mode": "Recommend"}),
    ("Ready", "the target is measured and kept at the replicas that its load needs", a_snapshot(), {}),
    ("Ready", "gone", GONE, {}),
    ("TargetResolved", "gone", GONE, {}),
    ("TargetResolved", "Deployment prod/chat, container server, runtime trimtab", a_snapshot(), {}),
    ("TargetResolved", IDLE_PODS, a_snapshot(target=a_target(2, pods=())), {}),
    ("EngineAttached", "no engine has to take settings: the policy lets nothing be turned but replicas", a_snapshot(),
     {"knobs": {}}),
    ("Progressing", "2 of 3 replicas are ready", a_snapshot(target=STARTING), {}),
    ("Progressing", "spec.mode is Paused: nothing is changed", a_snapshot(), {"mode": "Paused"}),
    ("Conflict", "nobody else owns the target or its replicas", a_snapshot(), {}),
    ("ObjectivesMet", "spec.objectives asks for nothing", a_snapshot(), {}),
    ("ObjectivesMet", "every objective that was measured is met", a_snapshot(), {"objectives": LATENCY}),
    ("ObjectivesMet", "violated: latency", a_snapshot(latency=1.0), {"objectives": LATENCY}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "message", "snapshot", "policy"),
    [pytest.param(*case, id=f"{case[0]}-{number}") for number, case in enumerate(MESSAGES)],
)
def test_a_condition_says_it_in_a_sentence(kind: str, message: str, snapshot: Snapshot, policy: dict[str, Any]) -> None:
    assert condition(kind, snapshot, policy).message == message


def condition(kind: str, snapshot: Snapshot, policy: dict[str, Any]) -> Condition:
    made = a_policy(**({"status": {"phase": "Validation"}} | policy))
    taken = advance(made.status.phase, snapshot, analyze(snapshot, made), made)
    assert taken.status is not None
    return next(each for each in PolicyStatus.model_validate(taken.status).conditions if each.type == kind)


def test_a_runtime_that_is_not_known_is_said_with_those_that_are() -> None:
    found = condition("TargetResolved", a_snapshot(target=a_target(runtime="unknown")), {})
    assert found.message == f"{UNKNOWN_RUNTIME}{', '.join(RUNTIMES)}): only its CPU and GPU are read"
    assert len(RUNTIMES) > 1


def test_why_no_setting_is_tried_stands_beside_why_the_replicas_stay() -> None:
    beside = condition("Progressing", a_snapshot(), {}).message
    assert "; settings: NoTokenVolume: no pod mounts a token" in beside
    alone = condition("Progressing", a_snapshot(), {"knobs": {}}).message
    assert "settings:" not in alone
    assert beside.startswith(alone)


@pytest.mark.parametrize(("seconds", "minutes"), [(600.0, 10), (1770.0, 30)])
def test_how_much_of_the_window_is_measured_is_said_in_minutes(seconds: float, minutes: int) -> None:
    points = a_series(Signal.REQUESTS_PER_SECOND, 40.0, seconds=seconds)
    seen = a_snapshot(history={Signal.REQUESTS_PER_SECOND: points})
    assert condition("Progressing", seen, {"status": DISCOVERY}).message == f"{minutes} min of 30m measured"


def test_one_missing_efficiency_measure_leaves_the_objectives_met() -> None:
    readings = {Signal.CACHE_HIT_RATIO: a_reading(Signal.CACHE_HIT_RATIO, {})}
    made = a_policy(objectives=LATENCY | NO_CACHE)
    taken = advance(None, a_snapshot(readings=readings), analyze(a_snapshot(readings=readings), made), made)
    assert taken.status is not None
    assert taken.status["objectivesSummary"] == "1/2"


def test_a_trial_that_is_taken_back_says_why() -> None:
    given = {"changed": ["uid-chat-0"], "startedAt": at(), "changedAt": at(), "endedAt": at()}
    trial = a_trial(status=given | {"phase": "Reverting", "verdict": "Regressed", "reason": "latency: 97.0%"})
    seen, made = a_tuned_snapshot(trials=(trial,), engines=engines(CANARY, None)), a_tuned_policy()
    taken = advance(made.status.phase, seen, analyze(seen, made), made)
    assert taken.status is not None
    found = next(each for each in PolicyStatus.model_validate(taken.status).conditions if each.type == "Progressing")
    assert (found.reason, found.message) == (
        "RollingBack",
        "trial chat-1: maxBatchSize 1→8 by PairedCanary: latency: 97.0%",
    )
