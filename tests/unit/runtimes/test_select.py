"""Which runtime a container runs."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.select import (
    RUNTIMES,
    TRENDED,
    detect_runtime,
    history_queries_for,
    queries_for,
    trend_queries_for,
)
from trimtab_operator.runtimes.table import Query, by_signal, render

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("our-image", {"image": "127.0.0.1:5055/trimtab/engine:abc"}, "trimtab"),
    ("our-image-by-digest", {"image": "registry.example.com/mirror/trimtab/engine@sha256:00"}, "trimtab"),
    ("vllm-image", {"image": "vllm/vllm-openai:v0.33.0"}, "vllm"),
    ("vllm-cpu-image", {"image": "vllm/vllm-openai-cpu:v0.32.0"}, "vllm"),
    ("vllm-mirror", {"image": "public.ecr.aws/x/vllm:1"}, "vllm"),
    ("command-wins-over-image", {"image": "trimtab/engine", "command": ["vllm", "serve", "m"]}, "vllm"),
    ("module-in-args", {"image": "python:3", "args": ["-m", "vllm.entrypoints.openai.api_server"]}, "vllm"),
    ("our-entry-point", {"image": "python:3", "command": ["trimtab-engine"]}, "trimtab"),
    ("environment", {"image": "mine:1", "env": [{"name": "VLLM_LOGGING_LEVEL", "value": "x"}]}, "vllm"),
    ("two-of-the-same-rank", {"image": "mine:1", "env": [{"name": "VLLM_X"}, {"name": "TRIMTAB_MODEL"}]}, "unknown"),
    ("nothing", {"image": "nginx:1"}, "unknown"),
    ("no-image-at-all", {}, "unknown"),
    ("a-name-that-only-contains-it", {"image": "example.com/notvllm:1"}, "unknown"),
]


@pytest.mark.parametrize(("container", "runtime"), [pytest.param(c, r, id=name) for name, c, r in CASES])
def test_a_runtime_is_detected_by_command_then_image_then_environment(container: dict[str, Any], runtime: str) -> None:
    assert detect_runtime(container) == runtime


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("source", ["dcgm", "agent", "none"])
def test_no_signal_has_two_queries(runtime: str, source: Any) -> None:
    signals = [query.signal for query in queries_for(runtime, source)]
    assert len(signals) == len(set(signals))


def test_an_unknown_runtime_is_read_by_its_containers_and_gpus_only() -> None:
    assert {query.source for query in queries_for("unknown", "agent")} == {"agent"}


def test_histograms_have_no_history() -> None:
    assert {query.kind for query in history_queries_for("vllm", "dcgm")} <= {"rate", "gauge", "ratio"}


@pytest.mark.parametrize("source", ["dcgm", "agent"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_template_renders_without_a_placeholder_left(runtime: str, source: Any) -> None:
    for query in queries_for(runtime, source):
        text = render(query.promql, window="20s", selector="", namespace_label="ns", pod_label="p")
        assert "$" not in text
        assert "rate({" not in text.replace(" ", ""), "never a rate over a name regex"


@pytest.mark.parametrize(
    ("signal", "metric"),
    [
        (Signal.LATENCY_MEAN_SECONDS, "vllm:e2e_request_latency_seconds"),
        (Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS, "vllm:time_to_first_token_seconds"),
        (Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS, "vllm:inter_token_latency_seconds"),
    ],
)
def test_a_mean_is_the_sum_over_the_count_of_its_histogram_and_none_where_nothing_was_observed(
    signal: Signal, metric: str
) -> None:
    query = RUNTIMES["vllm"].queries[signal]
    promql = render(query.promql, window="20s", selector="", namespace_label="ns", pod_label="p")
    total, count = (f"sum by (ns, p) (rate({metric}_{part}{{}}[20s]))" for part in ("sum", "count"))
    assert promql == f"{total} / ({count} > 0)"
    assert query.needs == (f"{metric}_sum", f"{metric}_count")
    assert query.over_pods([1.0, 3.0]) == 2.0


def test_an_unknown_placeholder_is_a_mistake_of_the_table() -> None:
    with pytest.raises(KeyError):
        render("$surprise", window="", selector="", namespace_label="", pod_label="")


def test_a_signal_twice_is_a_mistake_of_the_table() -> None:
    query = Query(Signal.BUSY_RATIO, "", "gauge", "ratio", "mean", ())
    with pytest.raises(ValueError, match="two queries"):
        by_signal(query, query)


def test_trends_read_the_signals_that_a_runtime_has_and_the_percentiles_that_are_asked_for() -> None:
    percentiles = {Signal.LATENCY_SECONDS: 99, Signal.TIME_TO_FIRST_TOKEN_SECONDS: 50}
    found = {query.signal: query for query in trend_queries_for("trimtab", "dcgm", percentiles)}
    assert set(found) == TRENDED | {Signal.LATENCY_SECONDS}
    latency = found[Signal.LATENCY_SECONDS]
    assert latency.promql.startswith("histogram_quantile(0.99, sum by ($namespace_label, $pod_label, le)")
    assert latency.over_pods((0.1, 0.3)) == pytest.approx(0.2)
    assert Signal.TIME_TO_FIRST_TOKEN_SECONDS in {
        query.signal for query in trend_queries_for("vllm", "none", percentiles)
    }
