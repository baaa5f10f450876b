"""The metrics: each row of the table is exposed from the first scrape on, and counts what it says."""

from __future__ import annotations

import itertools
import re

from fakes.variant_world import INT8, World
from prometheus_client.parser import text_string_to_metric_families

from trimtab_engine.errors import ModelFailed, Outcome, QueueFull
from trimtab_engine.memory.reading import MemoryReading
from trimtab_engine.metric_table import METRICS, SECONDS_BUCKETS
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.settings import LiveSettings


def families(metrics: EngineMetrics) -> dict[str, object]:
    text = metrics.exposition().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_every_row_of_the_table_is_exposed_with_its_type_and_help() -> None:
    exposed = families(EngineMetrics("m"))
    for spec in METRICS:
        family = exposed[spec.name.removesuffix("_total")]
        shown = "histogram" if spec.type == "gaugehistogram" else spec.type  # as the text format can
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
    metrics.models["m"].settings_in_force([("max_batch_size", 8)])
    metrics.memory.read(MemoryReading(1, 2), 1)
    metrics.models["m"].refused(QueueFull("full"))
    metrics.eviction_is("lru", {"lru": 0.5})
    metrics.models["m"].periods.live_is(LiveSettings())
    metrics.models["m"].periods.live_is(LiveSettings(max_batch_size=4))
    world = World()
    world.wish(INT8)
    world.settle()
    metrics.models["m"].variants.publish(world.life)
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
    metrics = EngineMetrics("m", objectives_seconds=(0.05, 0.2, 0.001))
    metrics.models["m"].request_seconds.observe(0.05)
    metrics.models["m"].request_seconds.observe(0.0500001)
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
    model = metrics.models["m"]
    model.periods.live_is(LiveSettings())
    model.request_seconds.observe(0.5, model.periods.number)
    assert 'settings="previous"' not in metrics.exposition().decode()
    before = model.periods.number
    model.periods.live_is(LiveSettings(max_batch_size=4))
    model.request_seconds.observe(0.5, before)  # its batch was under way when they changed
    model.request_seconds.observe(0.5, model.periods.number)
    text = metrics.exposition().decode()
    assert 'trimtab_engine_period_request_seconds_gcount{model="m",settings="previous"} 2\n' in text
    assert 'trimtab_engine_period_request_seconds_gcount{model="m",settings="current"} 1\n' in text
    assert 'trimtab_engine_request_seconds_count{model="m"} 3\n' in text


def test_an_error_is_counted_by_reason_and_by_the_length_of_its_longest_input() -> None:
    metrics = EngineMetrics("m")
    for longest in (1, 5, 8, 9):
        metrics.models["m"].refused(ModelFailed("-"), longest)
    metrics.models["m"].refused(QueueFull("-"))
    counted = {
        (sample.labels["reason"], sample.labels["length_bucket"]): sample.value
        for sample in families(metrics)["trimtab_engine_errors"].samples  # type: ignore[attr-defined]
    }
    one, two = ("ModelFailed", "1"), ("ModelFailed", "8")
    assert counted == {one: 1, two: 2, ("ModelFailed", "16"): 1, ("QueueFull", "none"): 1}
    text = metrics.exposition().decode()
    assert 'trimtab_engine_requests_total{model="m",outcome="error"} 4.0' in text
    assert 'trimtab_engine_requests_total{model="m",outcome="rejected"} 1.0' in text


def test_several_models_have_series_of_their_own_in_one_family_of_each_name() -> None:
    metrics = EngineMetrics("a", "b")
    metrics.models["a"].request_seconds.observe(0.5)
    metrics.models["b"].request_seconds.observe(2.0)
    metrics.models["b"].refused(QueueFull("-"))
    metrics.unnamed.refused(QueueFull("-"))
    text = metrics.exposition().decode()
    assert text.count("# TYPE trimtab_engine_request_seconds histogram") == 1
    assert 'trimtab_engine_request_seconds_sum{model="a"} 0.5' in text
    assert 'trimtab_engine_request_seconds_sum{model="b"} 2.0' in text
    for model, refused in (("a", 0), ("b", 1), ("*", 1)):
        assert f'trimtab_engine_requests_total{{model="{model}",outcome="rejected"}} {refused}.0' in text


def test_the_variants_of_one_model_are_published_beside_those_of_another() -> None:
    metrics = EngineMetrics("a", "b")
    for model in ("a", "b", "a"):
        metrics.models[model].variants.publish(World().life)
    text = metrics.exposition().decode()
    assert 'trimtab_engine_variant{model="a",variant="base"} 1.0' in text
    assert 'trimtab_engine_variant{model="b",variant="base"} 1.0' in text


def test_what_models_share_has_the_label_of_the_only_one_or_a_star() -> None:
    assert 'trimtab_engine_cache_bytes{model="a"}' in EngineMetrics("a").exposition().decode()
    assert 'trimtab_engine_cache_bytes{model="*"}' in EngineMetrics("a", "b").exposition().decode()
