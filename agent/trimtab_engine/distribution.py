"""Histograms that cost little to observe: plain numbers, made into Prometheus samples when they are asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from trimtab_engine.metric_table import MetricSpec


class Distribution(Collector):
    """One histogram of the table, bound to the model that is served; for one thread, as the front has."""

    def __init__(self, spec: MetricSpec, model: str) -> None:
        self._spec = spec
        self._model = model
        self._counts = [0] * (len(spec.buckets) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value in the first bucket whose edge is not below it."""
        self._counts[bisect_left(self._spec.buckets, value)] += 1
        self._sum += value

    def collect(self) -> Iterator[Metric]:
        """Yield the samples of this moment."""
        family = HistogramMetricFamily(self._spec.name, self._spec.help, labels=self._spec.labels)
        edges = [*map(floatToGoString, self._spec.buckets), "+Inf"]
        family.add_metric([self._model], list(zip(edges, accumulate(self._counts), strict=True)), self._sum)
        yield family


class Distributions(Collector):
    """One histogram of the table with the series of every model."""

    def __init__(self, spec: MetricSpec) -> None:
        self._spec = spec
        self._by_model: dict[str, Distribution] = {}

    def of(self, model: str) -> Distribution:
        """Return the part of a model."""
        return self._by_model.setdefault(model, Distribution(self._spec, model))

    def collect(self) -> Iterator[Metric]:
        """Yield the samples of all models as one family."""
        families = [family for one in self._by_model.values() for family in one.collect()]
        if families:
            families[0].samples = [sample for family in families for sample in family.samples]
            yield families[0]
