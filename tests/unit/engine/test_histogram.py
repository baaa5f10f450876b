"""Histograms of plain numbers."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as LibraryHistogram
from prometheus_client.parser import text_string_to_metric_families

from trimtab_engine.histogram import Histogram
from trimtab_engine.metric_table import SIZE_BUCKETS, MetricSpec

SPEC = MetricSpec("sizes", "histogram", ("model",), "Sizes.", SIZE_BUCKETS)
PERIOD = MetricSpec("period_sizes", "gaugehistogram", ("model", "settings"), "Sizes.")
Samples = dict[tuple[str, str, str], float]  # by name, edge and settings


def samples(whole: Histogram) -> Samples:
    return {
        (sample.name, sample.labels.get("le", ""), sample.labels.get("settings", "")): sample.value
        for family in text_string_to_metric_families(whole.text())
        for sample in family.samples
    }


def of_settings(found: Samples, settings: str) -> Samples:
    return {(name, edge, ""): value for (name, edge, label), value in found.items() if label == settings}


@given(
    st.lists(st.one_of(st.integers(0, 300), st.floats(0, 300, allow_nan=False)), max_size=20),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.just("\n"), max_size=8),
)
def test_it_is_exposed_as_the_library_exposes_its_own(values: list[float], model: str) -> None:
    registry = CollectorRegistry()
    whole = Histogram(SPEC, SIZE_BUCKETS)
    part = whole.of(model)
    library = LibraryHistogram(SPEC.name, SPEC.help, SPEC.labels, registry=registry, buckets=SPEC.buckets).labels(model)
    for value in values:
        part.observe(value)
        library.observe(value)
    theirs = "".join(line for line in generate_latest(registry).decode().splitlines(True) if "_created" not in line)
    assert [*text_string_to_metric_families(whole.text())] == [*text_string_to_metric_families(theirs)]


@settings(max_examples=30)
@given(st.lists(st.one_of(st.integers(0, 300), st.none()), max_size=15), st.integers(0, 3))
def test_no_change_of_settings_takes_a_counter_back_or_adds_to_it(steps: list[int | None], late: int) -> None:
    """None = the settings change; every value belongs to a batch that began up to three periods ago."""
    whole, period, observed = Histogram(SPEC, SIZE_BUCKETS, PERIOD), 1, 0
    part = whole.of("m")
    for step in steps:
        before = of_settings(samples(whole), "")
        if step is None:
            part.turn()
            period += 1
        else:
            part.observe(step, max(1, period - late))
            observed += 1
        after = of_settings(samples(whole), "")
        assert all(after[key] >= value for key, value in before.items())
        assert after["sizes_count", "", ""] == observed


@given(st.lists(st.integers(0, 300), max_size=9), st.lists(st.integers(0, 300), max_size=9))
def test_what_was_current_is_previous_after_a_change_with_what_was_under_way(first: list[int], late: list[int]) -> None:
    whole = Histogram(SPEC, SIZE_BUCKETS, PERIOD)
    part = whole.of("m")
    for value in first:
        part.observe(value)
    assert of_settings(samples(whole), "previous") == {}
    was_current = of_settings(samples(whole), "current")
    part.turn()
    assert of_settings(samples(whole), "previous") == was_current
    assert set(of_settings(samples(whole), "current").values()) == {0}
    for value in late:
        part.observe(value, 1)
    assert samples(whole)["period_sizes_gcount", "", "previous"] == len(first) + len(late)
    assert samples(whole)["period_sizes_gcount", "", "current"] == 0
    part.turn()
    part.observe(1, 1)  # of settings before the previous ones: no side's, and counted all the same
    assert samples(whole)["period_sizes_gcount", "", "previous"] == 0
    assert samples(whole)["sizes_count", "", ""] == len(first) + len(late) + 1
