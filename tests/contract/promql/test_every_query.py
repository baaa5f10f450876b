"""Every PromQL of the runtime tables, on a real Prometheus, against numbers worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from contract.promql.samples import BY_GPU, TABLES, Case, close
from contract.promql.server import LAYER_KINDS, PODS, Prometheus, namespace_of
from contract.promql.timeline import NOW, WINDOW

from trimtab_operator.model import histogram
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.runtimes.containers import CONTAINER_QUERIES
from trimtab_operator.runtimes.gpu import GPU_QUERIES
from trimtab_operator.runtimes.rows import percentile
from trimtab_operator.runtimes.select import RUNTIMES
from trimtab_operator.runtimes.table import Query, render

QUERIES: dict[tuple[str, Signal], Query] = (
    {(name, query.signal): query for name, runtime in RUNTIMES.items() for query in runtime.queries.values()}
    | {("containers", query.signal): query for query in CONTAINER_QUERIES}
    | {(source, query.signal): query for source, queries in GPU_QUERIES.items() for query in queries}
)
ALL = [pytest.param(table, signal, id=f"{table}-{signal}") for table, signal in QUERIES]
Answer = dict[str, float] | dict[str, dict[str, float]]


def rows_of(prometheus: Prometheus, template: str, namespace: str) -> list[dict[str, Any]]:
    selector = f'namespace=~"{namespace}|another"'
    promql = render(template, window=WINDOW, selector=selector, namespace_label="namespace", pod_label="pod")
    return prometheus.query(promql, NOW)


def ask(prometheus: Prometheus, table: str, signal: Signal, variant: str) -> Answer:
    query = QUERIES[table, signal]
    rows = rows_of(prometheus, query.promql, namespace_of(table, signal, variant))
    keys = {"namespace", "pod", "le"} if query.kind == "histogram" else {"namespace", "pod"}
    assert all(set(row["metric"]) == keys for row in rows), rows[:2]
    if query.kind != "histogram":
        assert len({row["metric"]["pod"] for row in rows}) == len(rows)
        return {row["metric"]["pod"]: float(row["value"][1]) for row in rows}
    histograms: dict[str, dict[str, float]] = {}
    for row in rows:
        histograms.setdefault(row["metric"]["pod"], {})[row["metric"]["le"]] = float(row["value"][1])
    return histograms


def check(found: Answer, expected: Mapping[str, float | Mapping[str, float] | None]) -> None:
    wanted = {pod: value for pod, value in expected.items() if value is not None}
    assert set(found) == set(wanted)
    for pod, value in wanted.items():
        got = found[pod]
        if isinstance(value, Mapping):
            assert isinstance(got, dict)
            assert {float(le) for le in got} == {float(le) for le in value}
            counts = {float(le): count for le, count in got.items()}
            assert all(close(counts[float(le)], count) for le, count in value.items()), (got, value)
        else:
            assert isinstance(got, float)
            assert close(got, value), (pod, got, value)


def case_of(table: str, signal: Signal) -> Case:
    assert signal in TABLES[table], f"{table} reads {signal}, and no case in samples.py says what it must answer"
    return TABLES[table][signal]


@pytest.mark.parametrize(("table", "signal"), ALL)
def test_known_increments_give_the_number_worked_out_by_hand(
    prometheus: Prometheus, table: str, signal: Signal
) -> None:
    case = case_of(table, signal)
    check(ask(prometheus, table, signal, "present"), {pod: case.expected(factor) for pod, factor in PODS.items()})


@pytest.mark.parametrize(("table", "signal"), ALL)
def test_a_counter_reset_in_the_window_changes_nothing(prometheus: Prometheus, table: str, signal: Signal) -> None:
    case = case_of(table, signal)
    check(ask(prometheus, table, signal, "reset"), {pod: case.expected(factor) for pod, factor in PODS.items()})


@pytest.mark.parametrize(("table", "signal"), ALL)
def test_series_that_may_be_absent_are_not_needed_and_never_make_a_wrong_number(
    prometheus: Prometheus, table: str, signal: Signal
) -> None:
    case = case_of(table, signal)
    rule = case.without_optional if any(feed.optional for feed in case.feeds) else case.expected
    check(ask(prometheus, table, signal, "absent"), {pod: rule(factor) for pod, factor in PODS.items()})


@pytest.mark.parametrize(("table", "signal"), ALL)
def test_a_pod_without_any_series_has_no_row(prometheus: Prometheus, table: str, signal: Signal) -> None:
    assert ask(prometheus, table, signal, "of-nobody") == {}


@pytest.mark.parametrize(("table", "signal"), ALL)
def test_samples_a_minute_old_give_no_rate_and_only_the_last_look_of_a_gauge(
    prometheus: Prometheus, table: str, signal: Signal
) -> None:
    found = ask(prometheus, table, signal, "stale")
    if "$window" in QUERIES[table, signal].promql:
        assert found == {}
    else:
        case = case_of(table, signal)
        check(found, {pod: case.expected(factor) for pod, factor in PODS.items()})


@pytest.mark.parametrize(("table", "signal"), ALL)
def test_samples_ten_minutes_old_give_nothing(prometheus: Prometheus, table: str, signal: Signal) -> None:
    assert ask(prometheus, table, signal, "gone") == {}


@pytest.mark.parametrize("table", TABLES)
def test_no_case_is_left_of_a_query_that_is_gone(table: str) -> None:
    assert set(TABLES[table]) == {signal for name, signal in QUERIES if name == table}


@pytest.mark.parametrize(("table", "signal", "variant"), BY_GPU, ids=str)
def test_each_gpu_of_a_pod_is_told_by_its_number(
    prometheus: Prometheus, table: str, signal: Signal, variant: str
) -> None:
    rows = rows_of(prometheus, QUERIES[table, signal].by_gpu, namespace_of(table, signal, variant))
    found = {(row["metric"]["pod"], row["metric"]["gpu"]): float(row["value"][1]) for row in rows}
    assert len(found) == len(rows)
    expected = BY_GPU[table, signal, variant]
    values = {(pod, gpu): value for pod, factor in PODS.items() for gpu, value in expected(factor).items()}
    assert found == pytest.approx(values)


def test_every_query_by_gpu_has_a_case() -> None:
    asked = {(table, signal) for (table, signal), query in QUERIES.items() if query.by_gpu}
    assert {(table, signal) for table, signal, _ in BY_GPU} == asked


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("variant", "age"), [("present", 2.0), ("stale", 62.0)])
def test_freshness_tells_the_age_of_the_newest_sample(
    prometheus: Prometheus, runtime: str, variant: str, age: float
) -> None:
    found = companion(prometheus, RUNTIMES[runtime].freshness, variant)
    assert {pod: NOW - at for pod, at in found.items()} == dict.fromkeys(PODS, age)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("variant", "seconds"), [("present", 5.0), ("young", 5.0), ("rare", 20.0)])
def test_the_spacing_of_samples_tells_the_scrape_interval_of_a_pod_scraped_for_a_minute_too(
    prometheus: Prometheus, runtime: str, variant: str, seconds: float
) -> None:
    assert companion(prometheus, RUNTIMES[runtime].scrape_interval, variant) == dict.fromkeys(PODS, seconds)


def test_the_five_costliest_kinds_of_layers_are_the_mean_over_the_models_of_a_pod(prometheus: Prometheus) -> None:
    rows = rows_of(prometheus, RUNTIMES["trimtab"].layer_time, "layers")
    assert all(set(row["metric"]) == {"namespace", "pod", "layer_kind"} for row in rows)
    found = {row["metric"]["layer_kind"]: float(row["value"][1]) for row in rows}
    expected = {kind: pytest.approx(0.015 * number) for number, kind in enumerate(LAYER_KINDS, 1)}
    assert found == {kind: expected[kind] for kind in LAYER_KINDS[-5:]}


@pytest.mark.parametrize(
    ("runtime", "namespace", "reason"),
    [("trimtab", "trimtab", "rejected"), ("vllm", "http", "503"), ("vllm", "engine", "error")],
)
def test_errors_are_told_by_reason_and_counted_once(
    prometheus: Prometheus, runtime: str, namespace: str, reason: str
) -> None:
    table = RUNTIMES[runtime]
    (row,) = rows_of(prometheus, table.error_reasons, f"reasons-{namespace}")
    assert next(row["metric"][label] for label in table.reason_labels if label in row["metric"]) == reason
    assert float(row["value"][1]) == pytest.approx(1.0)  # 5 at each scrape, every 5 s


@pytest.mark.parametrize(
    ("table", "signal"), [key for key, query in QUERIES.items() if query.kind == "histogram"], ids=str
)
def test_prometheus_and_the_operator_find_the_same_percentile(
    prometheus: Prometheus, table: str, signal: Signal
) -> None:
    query = percentile(QUERIES[table, signal], 75)
    rows = rows_of(prometheus, query.promql, namespace_of(table, signal, "present"))
    assert all(set(row["metric"]) == {"namespace", "pod"} for row in rows)
    for row in rows:
        counts = case_of(table, signal).expected(PODS[row["metric"]["pod"]])
        assert isinstance(counts, Mapping)
        pairs = sorted((float(bound), count) for bound, count in counts.items())
        ours = histogram.percentile(Buckets(*map(tuple, zip(*pairs, strict=True))), 75)
        expected = ours.seconds if ours.outside == "" else ours.bound_seconds
        found = float(row["value"][1])
        assert found <= ours.bound_seconds if ours.outside == "first" else found == pytest.approx(expected, rel=1e-3)
    assert len(rows) == len(PODS)


def companion(prometheus: Prometheus, template: str, variant: str) -> dict[str, float]:
    rows = rows_of(prometheus, template, f"freshness-{variant}")
    return {row["metric"]["pod"]: float(row["value"][1]) for row in rows}
