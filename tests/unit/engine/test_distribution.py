"""Histograms of plain numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from trimtab_engine.distribution import Distribution
from trimtab_engine.metric_table import SIZE_BUCKETS, MetricSpec

SPEC = MetricSpec("sizes", "histogram", ("model",), "Sizes.", SIZE_BUCKETS)


@given(st.lists(st.one_of(st.integers(0, 300), st.floats(0, 300, allow_nan=False)), max_size=20))
def test_it_is_exposed_to_the_letter_as_the_library_exposes_its_own(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    distribution = Distribution(SPEC, "m")
    ours.register(distribution)
    library = Histogram(SPEC.name, SPEC.help, SPEC.labels, registry=theirs, buckets=SPEC.buckets).labels("m")
    for value in values:
        distribution.observe(value)
        library.observe(value)
    assert generate_latest(ours) == b"\n".join(
        line for line in generate_latest(theirs).split(b"\n") if b"_created" not in line
    )
