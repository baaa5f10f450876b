"""The metrics table: complete, exposed from the first scrape on, and documented."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from fakes.variant_world import INT8, World
from prometheus_client.parser import text_string_to_metric_families

from trimtab_engine.errors import ModelFailed, Outcome, QueueFull
from trimtab_engine.memory.reading import MemoryReading
from trimtab_engine.metric_table import METRICS, SECONDS_BUCKETS
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.settings import LiveSettings

REFERENCE = Path(__file__).parents[3] / "docs/reference/engine.md"


def families(metrics: EngineMetrics) -> dict[str, object]:
    text = metrics.exposition().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_every_row_of_the_table_is_exposed_with_its_type_and_help() -> None:
    exposed = families(EngineMetrics("m"))
    for spec in METRICS:
        family = exposed[spec.name.removesuffix("_total")]
        shown = (
            spec.type.removeprefix("gauge") if spec.type == "gaugehistogram" else spec.type
        )  # as the text format can
        assert (family.type, family.documentation) == (shown, spec.help)  # type: ignore[attr-defined]


def test_series_that_can_be_known_are_zero_from_the_start() -> None:
    metrics = EngineMetrics("m")
    metrics.worker_known("1.0", "2.13", "cpu")
    text = metrics.exposition().decode()
    for outcome in Outcome:
        assert f'trimtab_engine_requests_total{{model="m",outcome="{outcome.value}"}} 0.0' in text
    assert 'trimtab_engine_worker_busy_seconds_total{device="cpu",model="m"} 0.0' in text
    assert 'trimtab_engine_worker_restarts_total{device="cpu"} 0.0' in text
    assert 'trimtab_engine_build{device="cpu",torch="2.13",version="1.0"} 1.0' in text
    assert "_created" not in text


def test_the_series_have_the_labels_of_the_table() -> None:
    metrics = EngineMetrics("m")
    metrics.worker_known("1.0", "2.13", "cpu")
    metrics.settings_in_force([("max_batch_size", 8)])
    metrics.memory.read(MemoryReading(1, 2), 1)
    metrics.refused(QueueFull("full"))
    metrics.eviction_is("lru", {"lru": 0.5})
    metrics.periods.live_is(LiveSettings())
    metrics.periods.live_is(LiveSettings(max_batch_size=4))
    world = World()
    world.wish(INT8)
    world.settle()
    metrics.variants.publish(world.life)
    exposed = families(metrics)
    for spec in METRICS:
        samples = exposed[spec.name.removesuffix("_total")].samples  # type: ignore[attr-defined]
        assert samples
        assert all(set(sample.labels) - {"le"} == set(spec.labels) for sample in samples)


def test_bucket_edges_of_seconds_are_at_most_a_quarter_apart_and_reach_a_minute() -> None:
    assert SECONDS_BUCKETS[0] == 0.001
    assert SECONDS_BUCKETS[-1] >= 60
    assert all(high / low <= 1.2500001 for low, high in itertools.pairwise(SECONDS_BUCKETS))


def test_an_objective_is_an_exact_edge_of_every_histogram_of_seconds_and_of_no_other() -> None:
    metrics = EngineMetrics("m", (0.05, 0.2, 0.001))
    metrics.request_seconds.observe(0.05)
    metrics.request_seconds.observe(0.0500001)
    text = metrics.exposition().decode()
    assert 'trimtab_engine_request_seconds_bucket{le="0.05",model="m"} 1' in text
    assert 'trimtab_engine_period_request_seconds_bucket{le="0.05",model="m",settings="current"} 1' in text
    for name in ("request", "queue", "batch"):
        edges = re.findall(rf'^trimtab_engine_{name}_seconds_bucket{{le="([^"]+)"', text, re.MULTILINE)
        assert {"0.05", "0.2"} <= set(edges)
        assert len(edges) == len(set(edges)) == len(SECONDS_BUCKETS) + 3  # one objective is a default edge; +Inf
    for name in ("batch_size", "idle_gap_seconds", "batch_prediction_ratio"):
        assert f'trimtab_engine_{name}_bucket{{le="0.05",' not in text


def test_the_series_of_settings_begin_anew_where_settings_change_and_the_counters_do_not() -> None:
    metrics = EngineMetrics("m")
    metrics.periods.live_is(LiveSettings())
    metrics.request_seconds.observe(0.5, metrics.periods.number)
    assert 'settings="previous"' not in metrics.exposition().decode()
    before = metrics.periods.number
    metrics.periods.live_is(LiveSettings(max_batch_size=4))
    metrics.request_seconds.observe(0.5, before)  # its batch was under way when they changed
    metrics.request_seconds.observe(0.5, metrics.periods.number)
    text = metrics.exposition().decode()
    assert 'trimtab_engine_period_request_seconds_gcount{model="m",settings="previous"} 2\n' in text
    assert 'trimtab_engine_period_request_seconds_gcount{model="m",settings="current"} 1\n' in text
    assert 'trimtab_engine_request_seconds_count{model="m"} 3\n' in text


def test_the_reference_page_names_every_metric() -> None:
    page = REFERENCE.read_text()
    assert [spec.name for spec in METRICS if f"`{spec.name}`" not in page] == []


def test_an_error_is_counted_by_reason_and_by_the_length_of_its_longest_input() -> None:
    metrics = EngineMetrics("m")
    for longest in (1, 5, 8, 9):
        metrics.refused(ModelFailed("-"), longest)
    metrics.refused(QueueFull("-"))
    counted = {
        (sample.labels["reason"], sample.labels["length_bucket"]): sample.value
        for sample in families(metrics)["trimtab_engine_errors"].samples  # type: ignore[attr-defined]
    }
    one, two = ("ModelFailed", "1"), ("ModelFailed", "8")
    assert counted == {one: 1, two: 2, ("ModelFailed", "16"): 1, ("QueueFull", "none"): 1}
    text = metrics.exposition().decode()
    assert 'trimtab_engine_requests_total{model="m",outcome="error"} 4.0' in text
    assert 'trimtab_engine_requests_total{model="m",outcome="rejected"} 1.0' in text
