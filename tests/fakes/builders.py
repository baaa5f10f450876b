"""Builders of the nouns of one tick: a healthy default, and whatever a test says differently."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import EngineEntry, EngineReport
from trimtab_api.policy import OptimizationPolicy
from trimtab_api.policy_status import SettingsChange, Tuning
from trimtab_api.shadow import ShadowedSetting
from trimtab_api.trial import OptimizationTrial
from trimtab_api.wire import settings_hash
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.signals import (
    Buckets,
    Distribution,
    GpuReading,
    Point,
    Reading,
    Series,
    Signal,
    SignalState,
)
from trimtab_operator.model.snapshot import Pod, Snapshot, Target

NOW = 1_800_000_000.0
SCRAPE_SECONDS = 5.0
WINDOW_SECONDS = 20.0
BOUNDS = (*(0.001 * 1.25**k for k in range(50)), math.inf)

SPEC: dict[str, Any] = {
    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"},
    "mode": "Apply",
    "scaling": {"minReplicas": 1, "maxReplicas": 8, "stabilization": "5m", "maxStep": 4},
    "observation": {"interval": "15s", "window": "30m"},
}


def a_policy(*, status: Mapping[str, Any] | None = None, uid: str = "policy-uid", **spec: Any) -> OptimizationPolicy:
    """A policy in Apply; keyword arguments are fields of spec in API spelling (None removes one)."""
    fields = {name: value for name, value in (SPEC | spec).items() if value is not None}
    return OptimizationPolicy.model_validate(
        {
            "metadata": {"name": "chat", "namespace": "prod", "uid": uid, "generation": 3},
            "spec": fields,
            "status": dict(status or {}),
        }
    )


def a_pod(name: str = "chat-0", **overrides: Any) -> Pod:
    """A pod that has served for an hour."""
    pod = Pod(
        name=name,
        uid=f"uid-{name}",
        node="node-a",
        ready=True,
        deleting=False,
        created_at=NOW - 3700.0,
        ready_at=NOW - 3600.0,
        cpu_request_cores=1.0,
        cpu_limit_cores=1.0,
        memory_limit_bytes=1024.0**3,
    )
    return replace(pod, **overrides)


def a_target(replicas: int = 2, pods: tuple[Pod, ...] | None = None, **overrides: Any) -> Target:
    """A Deployment of our engine whose pods all serve."""
    made = tuple(a_pod(f"chat-{number}") for number in range(replicas)) if pods is None else pods
    target = Target(
        kind="Deployment",
        namespace="prod",
        name="chat",
        uid="target-uid",
        resource_version="100",
        generation=1,
        replicas=replicas,
        container="server",
        runtime="trimtab",
        template_hash="abc",
        rolling_out=False,
        pods=made,
    )
    return replace(target, **overrides)


def buckets(requests: float, seconds: float = 0.05, slow: float = 0.0, slow_seconds: float = 5.0) -> Buckets:
    """A histogram of `requests`, all of them taking `seconds` but a share `slow` that takes `slow_seconds`."""
    counts = tuple(
        (requests * (1.0 - slow) if bound >= seconds else 0.0) + (requests * slow if bound >= slow_seconds else 0.0)
        for bound in BOUNDS
    )
    return Buckets(bounds_seconds=BOUNDS, cumulative=counts)


def a_reading(signal: Signal, by_pod: Mapping[str, float], **overrides: Any) -> Reading:
    """A fresh reading of the pods."""
    reading = Reading(
        signal=signal,
        state=SignalState.OK if by_pod else SignalState.NO_DATA,
        query=f"query({signal})",
        window_seconds=WINDOW_SECONDS,
        at=NOW - 2.0 if by_pod else None,
        by_pod=dict(by_pod),
    )
    return replace(reading, **overrides)


def a_gpu_reading(signal: Signal, by_pod: Mapping[str, tuple[float, ...]]) -> GpuReading:
    """A fresh reading of each GPU of the pods."""
    return GpuReading(signal, f"by_gpu({signal})", WINDOW_SECONDS, NOW - 2.0, dict(by_pod))


def a_distribution(signal: Signal, by_pod: Mapping[str, Buckets], **overrides: Any) -> Distribution:
    """A fresh histogram of the pods."""
    distribution = Distribution(
        signal=signal,
        state=SignalState.OK if by_pod else SignalState.NO_DATA,
        query=f"query({signal})",
        window_seconds=WINDOW_SECONDS,
        at=NOW - 2.0 if by_pod else None,
        by_pod=dict(by_pod),
    )
    return replace(distribution, **overrides)


def a_series(
    signal: Signal, value: float, *, seconds: float = 1800.0, step: float = 15.0, now: float = NOW, **overrides: Any
) -> Series:
    """A constant series that covers the last `seconds`."""
    count = int(seconds / step)
    points = tuple(Point(at=now - (count - number) * step, value=value) for number in range(count + 1))
    series = Series(signal=signal, state=SignalState.OK, query=f"query({signal})", points=points)
    return replace(series, **overrides)


def a_snapshot(
    *,
    target: Target | None = None,
    replicas: int = 2,
    rps: float = 40.0,
    busy: float = 0.5,
    queue: float = 0.0,
    errors: float = 0.0,
    latency: float = 0.05,
    waiting: float = 0.005,
    slow: float = 0.0,
    history: Mapping[Signal, Series] | None = None,
    readings: Mapping[Signal, Reading] | None = None,
    distributions: Mapping[Signal, Distribution] | None = None,
    **overrides: Any,
) -> Snapshot:
    """A trusted snapshot: `rps`, `errors` and `queue` are totals of the target, spread evenly over its ready pods."""
    made = target or a_target(replicas)
    names = [pod.name for pod in made.ready_pods]
    share = 1.0 / max(1, len(names))
    per_pod = {
        Signal.REQUESTS_PER_SECOND: rps * share,
        Signal.ERRORS_PER_SECOND: errors * share,
        Signal.REJECTED_PER_SECOND: 0.0,
        Signal.QUEUE_REQUESTS: queue * share,
        Signal.BUSY_RATIO: busy,
    }
    requests = rps * share * WINDOW_SECONDS
    histograms = {
        Signal.LATENCY_SECONDS: buckets(requests, latency, slow),
        Signal.QUEUE_SECONDS: buckets(requests, waiting),
        Signal.SERVICE_SECONDS: buckets(requests, max(0.002, latency - waiting)),
    }
    totals = {Signal.REQUESTS_PER_SECOND: rps, Signal.QUEUE_REQUESTS: queue, Signal.BUSY_RATIO: busy}
    snapshot = Snapshot(
        now=NOW,
        target=made,
        scrape_interval_seconds=SCRAPE_SECONDS,
        readings={signal: a_reading(signal, dict.fromkeys(names, value)) for signal, value in per_pod.items()}
        | dict(readings or {}),
        distributions={
            signal: a_distribution(signal, dict.fromkeys(names, value)) for signal, value in histograms.items()
        }
        | dict(distributions or {}),
        history={signal: a_series(signal, value) for signal, value in totals.items()} | dict(history or {}),
    )
    return replace(snapshot, **overrides)


def later(snapshot: Snapshot, seconds: float) -> Snapshot:
    """The same world, seen some seconds later by samples just as fresh."""
    return replace(
        snapshot,
        now=snapshot.now + seconds,
        readings={signal: replace(each, at=_moved(each.at, seconds)) for signal, each in snapshot.readings.items()},
        distributions={
            signal: replace(each, at=_moved(each.at, seconds)) for signal, each in snapshot.distributions.items()
        },
        history={
            signal: replace(each, points=tuple(replace(point, at=point.at + seconds) for point in each.points))
            for signal, each in snapshot.history.items()
        },
    )


def _moved(at: float | None, seconds: float) -> float | None:
    return None if at is None else at + seconds


STABLE = EngineSettings(max_batch_size=1, max_queue_delay="5ms", cache_memory="0")
CANARY = STABLE.model_copy(update={"max_batch_size": 8})
RULES: dict[str, Any] = {"window": "2m", "maxWindow": "8m", "minRequests": 100}


def at(seconds: float = 0.0) -> str:
    """A time some seconds after NOW, as the API writes it."""
    return datetime.fromtimestamp(NOW + seconds, tz=UTC).isoformat()


def a_trial(
    name: str = "chat-1", *, status: Mapping[str, Any] | None = None, created: float = -600.0, **spec: Any
) -> OptimizationTrial:
    """A trial of batches of 8 instead of 1: pod chat-0 has the change, chat-1 is beside it.

    Keyword arguments are fields of spec, `status` its fields, in API spelling; `created` is seconds after NOW.
    """
    arms = [(f"chat-{number}", "Canary" if number == 0 else "Stable") for number in range(2)]
    fields: dict[str, Any] = {
        "policy": "chat",
        "target": {**SPEC["targetRef"], "uid": "target-uid", "templateHash": "abc"},
        "change": {"knob": "maxBatchSize", "from": "1", "to": "8"},
        "changeSummary": "maxBatchSize 1→8",
        "hypothesis": "more in one pass",
        "predicted": [],
        "predictedSummary": "throughput +80%",
        "design": "PairedCanary",
        "pods": [{"uid": f"uid-{pod}", "name": pod, "node": "node-a", "arm": arm} for pod, arm in arms],
        "canary": CANARY,
        "stable": STABLE,
        "rules": RULES,
    }
    metadata = {
        "name": name,
        "namespace": "prod",
        "uid": f"uid-{name}",
        "generation": 1,
        "resourceVersion": "7",
        "creationTimestamp": at(created),
    }
    return OptimizationTrial.model_validate({"metadata": metadata, "spec": fields | spec, "status": dict(status or {})})


def an_engine(
    settings: EngineSettings | None = None,
    *,
    pod: str = "chat-0",
    applied: EngineSettings | None = STABLE,
    attached: bool = True,
    refused: Mapping[str, str] | None = None,
    pending: Mapping[str, str] | None = None,
    shadowed: tuple[ShadowedSetting, ...] = (),
    words: Mapping[str, list[str]] | None = None,
) -> EngineState:
    """An engine that asks its node's agent and has put `settings` in force: without a word, what it started with."""
    asked = settings or EngineSettings()
    condition = {
        "type": "Attached",
        "status": "True" if attached else "False",
        "reason": "Attached" if attached else "Lost",
        "lastTransitionTime": at(-60.0),
    }
    report = EngineReport.model_validate(
        {
            "podUid": f"uid-{pod}",
            "appliedHash": settings_hash(asked.to_body()),
            "applied": settings or applied,
            "refused": [
                {"setting": knob, "value": value, "reason": "too large"} for knob, value in (refused or {}).items()
            ],
            "pending": [
                {"setting": knob, "value": value, "phase": "Searching"} for knob, value in (pending or {}).items()
            ],
            "shadowed": shadowed,
            "knobs": [
                {"setting": knob, "allowed": allowed, "cost": "clone"} for knob, allowed in (words or {}).items()
            ],
            "at": at(-60.0),
            "conditions": [condition],
        }
    )
    return EngineState(EngineEntry(pod_uid=f"uid-{pod}", namespace="prod", pod=pod, settings=asked), report)


def a_tuning(
    settings: EngineSettings | None = None, *, trial: str | None = None, change: Mapping[str, Any] | None = None
) -> Tuning:
    """All pods as they started, or with `settings`; `change` says what is different of that of trial chat-1."""
    made = None
    if change is not None:
        usual = {"trial": "chat-1", "settings": CANARY, "pods": ["uid-chat-0"], "expiresAt": at(600.0)}
        made = SettingsChange.model_validate(usual | dict(change))
    return Tuning(settings=settings or EngineSettings(), trial=trial, change=made)
