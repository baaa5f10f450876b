"""May a snapshot be acted upon? One table of reasons."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import (
    NOW,
    a_distribution,
    a_pod,
    a_policy,
    a_reading,
    a_series,
    a_snapshot,
    a_target,
    buckets,
)
from fakes.ledger import an_entry

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.analysis.trust import inert, interval_seconds, needed_signals, trust
from trimtab_operator.model.signals import Buckets, Point, Series, Signal, SignalState
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

RPS = Signal.REQUESTS_PER_SECOND
PODS = {"chat-0": 20.0, "chat-1": 20.0}


def with_reading(by_pod: dict[str, float] | None = None, **overrides: Any) -> Snapshot:
    return a_snapshot(readings={RPS: a_reading(RPS, PODS if by_pod is None else by_pod, **overrides)})


YOUNG = a_target(pods=(a_pod("chat-0"), a_pod("chat-1", ready_at=NOW - 10.0)))
NEW = a_target(pods=(a_pod("chat-0", ready_at=NOW - 4.0), a_pod("chat-1", ready_at=NOW - 5.0)))
LATENCY = {"latency": {"percentile": 95, "max": "100ms"}}
COARSE = Buckets((0.3, 1.0, math.inf), (500.0, 500.0, 500.0))

CASES: list[tuple[str, Snapshot, str, bool]] = [
    ("fresh-and-whole", a_snapshot(), "Fresh", True),
    ("no-target", Snapshot(now=NOW, target=TargetProblem("NotFound", "gone")), "NoData", False),
    ("no-ready-pod", a_snapshot(target=a_target(pods=(a_pod(ready=False, ready_at=None),))), "Collecting", False),
    ("prometheus-down", with_reading({}, state=SignalState.ERROR, message="refused"), "QueryFailed", False),
    ("pods-but-no-series", with_reading({}), "NoData", False),
    ("a-signal-never-read", a_snapshot(readings={}).__class__(now=NOW, target=a_target()), "NoData", False),
    ("new-pods-without-series", a_snapshot(target=NEW, readings={RPS: a_reading(RPS, {})}), "Collecting", False),
    ("other-pods", with_reading({"stranger-1": 3.0}), "LabelMismatch", False),
    ("shell-says-mismatch", with_reading({}, message="LabelMismatch: exported_pod"), "LabelMismatch", False),
    ("stale-by-state", with_reading({}, state=SignalState.STALE), "Stale", False),
    ("stale-by-age", with_reading(at=NOW - 40.0), "Stale", False),
    ("three-scrapes-and-a-slot-old", with_reading(at=NOW - 19.0), "Fresh", True),
    ("a-pod-missing", with_reading({"chat-0": 20.0}), "Partial", False),
    ("a-young-pod-missing", a_snapshot(target=YOUNG, readings={RPS: a_reading(RPS, {"chat-0": 20.0})}), "Fresh", True),
    ("prometheus-warned", with_reading(state=SignalState.PARTIAL, message="partial response"), "Partial", False),
    ("narrow-window", with_reading(window_seconds=15.0), "Collecting", False),
    ("not-a-number", with_reading({"chat-0": math.nan, "chat-1": 1.0}), "Implausible", False),
    ("negative", with_reading({"chat-0": -1.0, "chat-1": 1.0}), "Implausible", False),
    ("a-gauge-has-no-window", a_snapshot(readings={
        Signal.QUEUE_REQUESTS: a_reading(Signal.QUEUE_REQUESTS, {"chat-0": 0.0, "chat-1": 0.0}, window_seconds=0.0)
    }), "Fresh", True),
    ("busier-than-possible", a_snapshot(busy=1.6), "Implausible", False),
]  # fmt: skip


@pytest.mark.parametrize(("snapshot", "reason", "trusted"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_the_first_check_that_fails_gives_the_reason(snapshot: Snapshot, reason: str, trusted: bool) -> None:
    found = analyze(snapshot, a_policy()).trust
    assert (found.reason, found.trusted) == (reason, trusted), found.message
    assert found.message


def test_a_latency_objective_below_the_first_bucket_is_refused() -> None:
    histogram = a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, COARSE))
    snapshot = a_snapshot(distributions={Signal.LATENCY_SECONDS: histogram})
    found = analyze(snapshot, a_policy(objectives=LATENCY)).trust
    assert (found.trusted, found.reason) == (False, "FirstBucket")
    assert "latency.max 100ms" in found.message


@pytest.mark.parametrize("limit", ["300ms", "2s"])
def test_a_latency_objective_above_the_first_bucket_can_be_judged_by_it(limit: str) -> None:
    histogram = a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, COARSE))
    snapshot = a_snapshot(distributions={Signal.LATENCY_SECONDS: histogram})
    assert analyze(snapshot, a_policy(objectives={"latency": {"max": limit}})).trust.trusted


def test_the_histogram_of_a_latency_objective_is_needed() -> None:
    snapshot = a_snapshot(distributions={Signal.LATENCY_SECONDS: a_distribution(Signal.LATENCY_SECONDS, {})})
    assert analyze(snapshot, a_policy()).trust.trusted
    assert analyze(snapshot, a_policy(objectives=LATENCY)).trust.reason == "NoData"


def test_a_broken_histogram_is_implausible() -> None:
    broken = Buckets((1.0, math.inf), (1.0, math.nan))
    histogram = a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, broken))
    snapshot = a_snapshot(distributions={Signal.LATENCY_SECONDS: histogram})
    assert analyze(snapshot, a_policy(objectives=LATENCY)).trust.reason == "Implausible"


def test_a_first_bucket_without_requests_says_nothing() -> None:
    empty = a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, buckets(0.0)))
    snapshot = a_snapshot(distributions={Signal.LATENCY_SECONDS: empty})
    assert analyze(snapshot, a_policy(objectives=LATENCY)).trust.trusted


@pytest.mark.parametrize(
    ("runtime", "gpus", "source", "needed"),
    [
        ("trimtab", 0, "none", {RPS, Signal.QUEUE_REQUESTS, Signal.BUSY_RATIO}),
        ("trimtab", 1, "agent", {RPS, Signal.QUEUE_REQUESTS, Signal.BUSY_RATIO, Signal.GPU_UTILIZATION_RATIO}),
        ("vllm", 1, "dcgm", {RPS, Signal.QUEUE_REQUESTS, Signal.KV_CACHE_USED_RATIO}),
        ("vllm", 1, "none", {RPS, Signal.QUEUE_REQUESTS, Signal.KV_CACHE_USED_RATIO}),
        ("unknown", 1, "dcgm", {Signal.GPU_UTILIZATION_RATIO}),
        ("unknown", 0, "none", {Signal.CPU_USED_CORES}),
    ],
)
def test_what_is_needed_depends_on_runtime_and_devices(
    runtime: str, gpus: int, source: Any, needed: set[Signal]
) -> None:
    target = a_target(pods=(a_pod("chat-0", gpus=gpus),), runtime=runtime)
    snapshot = a_snapshot(target=target, gpu_source=source)
    assert set(needed_signals(snapshot, a_policy())) == needed


def test_nothing_is_needed_of_a_target_that_is_not_there() -> None:
    assert needed_signals(Snapshot(now=NOW, target=TargetProblem("NotFound", "")), a_policy()) == ()


def test_the_scrape_interval_is_fifteen_seconds_until_it_is_known() -> None:
    assert interval_seconds(a_snapshot(scrape_interval_seconds=None)) == 15.0


def varying(signal: Signal, value: Callable[[int], float]) -> Series:
    series = a_series(signal, 0.0)
    return replace(series, points=tuple(Point(p.at, value(number)) for number, p in enumerate(series.points)))


LOAD = varying(RPS, lambda number: 10.0 if number < 60 else 30.0)
FLAT = a_series(Signal.BUSY_RATIO, 0.3)
FOLLOWS = varying(Signal.BUSY_RATIO, lambda number: 0.2 if number < 60 else 0.6)


@pytest.mark.parametrize(
    ("load", "busy", "entries", "expected"),
    [
        pytest.param(LOAD, FLAT, [], True, id="load-doubled-use-stood-still"),
        pytest.param(LOAD, FOLLOWS, [], False, id="use-follows"),
        pytest.param(a_series(RPS, 20.0), FLAT, [], False, id="load-is-steady"),
        pytest.param(varying(RPS, lambda n: 0.1 if n < 60 else 0.4), FLAT, [], False, id="hardly-any-load"),
        pytest.param(LOAD, FLAT, [an_entry()], False, id="replicas-changed"),
        pytest.param(LOAD, FLAT, [an_entry(at=NOW - 7200.0)], True, id="replicas-changed-long-ago"),
        pytest.param(replace(LOAD, points=LOAD.points[100:]), FLAT, [], False, id="window-not-covered"),
        pytest.param(LOAD, replace(FLAT, points=()), [], False, id="use-not-known"),
    ],
)
def test_a_metric_that_never_moves_while_load_does_is_inert(
    load: Series, busy: Series, entries: list[dict[str, Any]], expected: bool
) -> None:
    snapshot = a_snapshot(history={RPS: load, Signal.BUSY_RATIO: busy})
    policy = a_policy(status={"history": entries})
    assert inert(snapshot, policy) is expected
    found = trust(Seen(snapshot, policy, snapshot.distributions, None))
    assert found.trusted, "inert is reported, trust stays"
    assert (found.reason == "Inert") is expected
