"""Answers split by target: which state a signal is in, and which pods should have answered."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trimtab_operator.model.signals import Point, Signal, SignalState
from trimtab_operator.model.snapshot import Pod
from trimtab_operator.observation.feeds import Feed
from trimtab_operator.observation.history import Grid
from trimtab_operator.observation.labels import CANDIDATES, EXPORTED, PLAIN, PodLabels, candidates
from trimtab_operator.observation.prometheus import Answer, Row
from trimtab_operator.observation.readings import (
    Scope,
    distribution,
    error_reasons,
    gpu_reading,
    layer_time,
    reading,
    series,
)
from trimtab_operator.runtimes.select import queries_for

NOW = 10_000.0
QUERIES = {query.signal: query for query in queries_for("trimtab", "agent")}
A, B = "llama-b5c5-bcdfg", "llama-b5c5-zzzzz"


def pod(name: str, *, age: float = 3600, ready: bool = True, deleting: bool = False, gpus: int = 0) -> Pod:
    created = NOW - age
    return Pod(
        name=name,
        uid=name,
        node="n",
        ready=ready,
        deleting=deleting,
        created_at=created,
        ready_at=created if ready else None,
        gpus=gpus,
    )


def scope(*pods: Pod) -> Scope:
    return Scope("prod", "llama", pods or (pod(A), pod(B)), NOW, 5.0)


def feed(**ages: float) -> Feed:
    newest = {name.replace("_", "-"): NOW - age for name, age in ages.items()}
    return Feed(PLAIN, SignalState.OK, newest)


BOTH = Feed(PLAIN, SignalState.OK, {A: NOW - 3, B: NOW - 1})


def answer(*rows: tuple[str, float], state: SignalState = SignalState.OK, **labels: str) -> Answer:
    made = tuple(
        Row({"namespace": "prod", "pod": name, **labels}, ((NOW, value),) if not math.isnan(value) else ())
        for name, value in rows
    )
    return Answer(state, made, "a store is away" if state is SignalState.PARTIAL else "")


def read(given: Answer, signal: Signal = Signal.QUEUE_REQUESTS, where: Scope | None = None, by: Feed = BOTH) -> Any:
    return reading(QUERIES[signal], "query", 20.0, given, feed=by, scope=where or scope())


def test_values_of_the_targets_pods_and_the_time_of_the_newest_sample() -> None:
    found = read(answer((A, 1.0), (B, 2.0), ("stranger", 5.0)))
    assert (found.state, found.by_pod, found.at) == (SignalState.OK, {A: 1.0, B: 2.0}, NOW - 1)


def test_a_pod_of_the_same_name_in_another_namespace_does_not_count() -> None:
    rows = (Row({"namespace": "other", "pod": A}, ((NOW, 9.0),)),)
    assert read(Answer(SignalState.OK, rows)).state is SignalState.NO_DATA


def test_a_silent_pod_makes_the_answer_partial_and_is_named() -> None:
    found = read(answer((A, 1.0)))
    assert found.state is SignalState.PARTIAL
    assert B in found.message


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(pod(B, age=5), id="young"),
        pytest.param(pod(B, ready=False), id="not ready"),
        pytest.param(pod(B, deleting=True), id="leaving"),
    ],
)
def test_a_pod_that_need_not_answer_yet_or_any_more_is_excused(other: Pod) -> None:
    assert read(answer((A, 1.0)), where=scope(pod(A), other)).state is SignalState.OK


def test_a_rate_waits_for_a_whole_window_of_a_new_pod() -> None:
    where = scope(pod(A), pod(B, age=24))
    assert read(answer((A, 1.0)), Signal.REQUESTS_PER_SECOND, where).state is SignalState.OK
    assert read(answer((A, 1.0)), Signal.QUEUE_REQUESTS, where).state is SignalState.PARTIAL


def test_a_ratio_without_events_and_a_limit_that_is_not_set_have_no_row_and_nobody_is_missing() -> None:
    assert read(answer((A, 0.5)), Signal.CACHE_HIT_RATIO).state is SignalState.OK
    assert read(answer((A, 0.5)), Signal.CPU_LIMIT_CORES).state is SignalState.OK


def test_gpu_signals_are_expected_of_pods_with_a_gpu_only() -> None:
    assert read(answer((A, 0.5)), Signal.GPU_UTILIZATION_RATIO).state is SignalState.OK
    where = scope(pod(A, gpus=1), pod(B, gpus=1))
    assert read(answer((A, 0.5)), Signal.GPU_UTILIZATION_RATIO, where).state is SignalState.PARTIAL


def test_the_gpus_of_a_pod_are_in_the_order_of_their_numbers_and_only_of_fresh_pods() -> None:
    rows = [
        Row({"namespace": "prod", "pod": name, "gpu": number}, ((NOW, value),))
        for name, number, value in (
            (A, "10", 0.3),
            (A, "9", 0.2),
            (A, "", 0.9),
            (A, "nvidia0", 0.9),
            (B, "0", 0.4),
            ("stranger", "0", 0.9),
        )
    ]
    query, where = QUERIES[Signal.GPU_UTILIZATION_RATIO], scope(pod(A, gpus=2), pod(B, gpus=2))
    found = gpu_reading(query, "q", 20.0, Answer(SignalState.OK, tuple(rows)), feed=BOTH, scope=where)
    assert (found.by_pod, found.at) == ({A: (0.2, 0.3), B: (0.4,)}, NOW - 1)
    old = Feed(PLAIN, SignalState.OK, {A: NOW - 3, B: NOW - 90})
    found = gpu_reading(query, "q", 20.0, Answer(SignalState.OK, tuple(rows)), feed=old, scope=where)
    assert found.by_pod == {A: (0.2, 0.3)}


def test_samples_that_ceased_are_stale_though_the_query_still_answers() -> None:
    old = Feed(PLAIN, SignalState.OK, {A: NOW - 90, B: NOW - 80})
    found = read(answer((A, 1.0), (B, 2.0)), by=old)
    assert (found.state, found.by_pod, found.at) == (SignalState.STALE, {}, NOW - 80)
    assert "80 s old" in found.message


def test_samples_of_unknown_age_are_stale() -> None:
    found = read(answer((A, 1.0)), by=Feed(PLAIN, SignalState.OK))
    assert found.state is SignalState.STALE
    assert "unknown" in found.message


def test_one_pod_with_old_samples_counts_as_silent() -> None:
    found = read(answer((A, 1.0), (B, 2.0)), by=Feed(PLAIN, SignalState.OK, {A: NOW - 3, B: NOW - 80}))
    assert (found.state, found.by_pod) == (SignalState.PARTIAL, {A: 1.0})


def test_a_warning_of_prometheus_is_passed_on() -> None:
    found = read(answer((A, 1.0), (B, 2.0), state=SignalState.PARTIAL))
    assert (found.state, found.message) == (SignalState.PARTIAL, "a store is away")


def test_a_failed_query_is_an_error_with_the_reason() -> None:
    found = read(Answer(SignalState.ERROR, message="connection refused"))
    assert (found.state, found.by_pod, found.message) == (SignalState.ERROR, {}, "connection refused")


def test_no_data_names_the_metric_and_a_label_mismatch_says_so() -> None:
    assert "trimtab_engine_queue_requests" in read(Answer(SignalState.NO_DATA)).message
    mismatch = Feed(PLAIN, SignalState.NO_DATA, message="LabelMismatch: other pods")
    assert read(answer(("stranger", 1.0)), by=mismatch).message.startswith("LabelMismatch")


def test_a_histogram_is_ordered_monotonic_and_ends_in_infinity() -> None:
    rows = tuple(
        Row({"namespace": "prod", "pod": A, "le": bound}, ((NOW, count),))
        for bound, count in (("+Inf", 10.0), ("0.1", 4.0), ("0.2", 3.9))
    )
    broken = (Row({"namespace": "prod", "pod": B, "le": "0.1"}, ((NOW, 1.0),)),)
    found = distribution(
        QUERIES[Signal.LATENCY_SECONDS], "q", 60, Answer(SignalState.OK, rows + broken), feed=BOTH, scope=scope()
    )
    assert found.by_pod[A].bounds_seconds == (0.1, 0.2, math.inf)
    assert found.by_pod[A].cumulative == (4.0, 4.0, 10.0)
    assert B not in found.by_pod


@pytest.mark.parametrize(
    ("signal", "expected"),
    [(Signal.REQUESTS_PER_SECOND, 6.0), (Signal.BUSY_RATIO, 3.0), (Signal.GPU_MEMORY_USED_RATIO, 4.0)],
    ids=["sum", "mean", "max"],
)
def test_a_series_combines_pods_as_the_signal_asks(signal: Signal, expected: float) -> None:
    grid = Grid()
    rows = (
        Row({"namespace": "prod", "pod": A}, ((15.0, 2.0),)),
        Row({"namespace": "prod", "pod": B}, ((15.0, 4.0),)),
        Row({"namespace": "prod", "pod": "llama-chat-b5c5-bcdfg"}, ((15.0, 100.0),)),
    )
    grid.append([0, 15], Answer(SignalState.OK, rows), PLAIN)
    grid.state = SignalState.OK
    found = series(QUERIES[signal], "q", grid, scope())
    assert [(point.at, point.value) for point in found.points] == [(15.0, expected)]


def test_each_point_of_a_series_says_how_many_pods_had_a_value_then() -> None:
    grid = Grid()
    rows = (
        Row({"namespace": "prod", "pod": A}, ((0.0, 2.0), (15.0, 2.0))),
        Row({"namespace": "prod", "pod": B}, ((15.0, 4.0),)),
    )
    grid.append([0, 15, 30], Answer(SignalState.OK, rows), PLAIN)
    grid.state = SignalState.OK
    found = series(QUERIES[Signal.QUEUE_REQUESTS], "q", grid, scope())
    assert found.points == (Point(0.0, 2.0, pods=1), Point(15.0, 6.0, pods=2)), "and none where nobody had one"


def test_label_pairs_to_try_follow_what_was_configured() -> None:
    assert candidates(None, None, "engine") == CANDIDATES
    mine = PodLabels("ns", "pod")
    assert candidates("ns", None, "engine") == (mine,)
    assert candidates("ns", None, "agent") == (mine, EXPORTED, PLAIN)
    assert candidates("namespace", "pod", "agent") == (PLAIN, EXPORTED)


def test_layers_are_the_mean_over_the_pods_that_name_them_and_only_of_the_target() -> None:
    rows = [
        Row({"namespace": space, "pod": name, "layer_kind": kind}, ((NOW, share),))
        for space, name, kind, share in (
            ("prod", A, "attention.query", 0.4),
            ("prod", B, "attention.query", 0.2),
            ("prod", B, "pooler", 0.1),
            ("other", A, "attention.query", 0.9),
            ("prod", "stranger", "attention.query", 0.9),
        )
    ]
    found = layer_time(Answer(SignalState.OK, tuple(rows)), feed=BOTH, scope=scope())
    assert found == {"attention.query": pytest.approx(0.3), "pooler": pytest.approx(0.1)}


@pytest.mark.parametrize(
    ("kind", "share", "found"),
    [
        pytest.param("x" * 100 + ".dense", 0.5, {"x" * 58 + ".dense": 0.5}, id="a long path keeps its end"),
        pytest.param("a\nb", 0.5, {"a?b": 0.5}, id="nothing unprintable"),
        pytest.param("dense", math.nan, {}, id="no number"),
        pytest.param("dense", 1.5, {}, id="no share"),
        pytest.param("", 0.5, {}, id="no name"),
    ],
)
def test_names_of_layers_are_fit_to_be_shown(kind: str, share: float, found: dict[str, float]) -> None:
    row = Row({"namespace": "prod", "pod": A, "layer_kind": kind}, ((NOW, share),))
    assert layer_time(Answer(SignalState.OK, (row,)), feed=BOTH, scope=scope()) == found


def test_errors_by_reason_are_sums_over_the_pods_and_only_of_the_target() -> None:
    rows = [
        Row({"namespace": space, "pod": name, label: reason}, ((NOW, rate),))
        for space, name, label, reason, rate in (
            ("prod", A, "status", "503", 1.0),
            ("prod", B, "status", "503", 0.5),
            ("prod", B, "finished_reason", "error", 0.25),
            ("prod", A, "status", "500", 0.0),
            ("prod", A, "status", "", 4.0),
            ("prod", A, "other", "504", 4.0),
            ("other", A, "status", "503", 9.0),
            ("prod", A, "status", "5\n" + "0" * 63, 2.0),
        )
    ]
    answer = Answer(SignalState.OK, tuple(rows))
    found = error_reasons(answer, ("status", "finished_reason"), feed=BOTH, scope=scope())
    assert found == {"503": 1.5, "error": 0.25, "?" + "0" * 63: 2.0}
