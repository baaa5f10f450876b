"""What is exposed of a model's variants: which is in force, how well it agrees, and what became of the searches."""

from __future__ import annotations

import collections
from collections.abc import Callable

from prometheus_client import Counter, Gauge

from trimtab_engine.variants.lifecycle import VariantLife


class VariantMetrics:
    """The variants' rows of the table of metrics."""

    def __init__(self, model: str, gauge: Callable[[str], Gauge], counter: Callable[[str], Counter]) -> None:
        """`gauge` and `counter` give a row by its name."""
        self._model = model
        self._in_force = gauge("variant")
        self._accuracy = gauge("accuracy_ratio")
        self._samples = gauge("accuracy_samples")
        self._time_ratio = gauge("layer_time_ratio")
        self._memory_ratio = gauge("layer_memory_ratio")
        self._searches = counter("variant_searches_total")
        self._counted: collections.Counter[str] = collections.Counter()

    def publish(self, life: VariantLife) -> None:
        """Set everything as it is now."""
        variant = life.in_force
        for gauge in (self._in_force, self._accuracy, self._samples, self._time_ratio, self._memory_ratio):
            gauge.remove_by_labels({"model": self._model})
        self._in_force.labels(self._model, variant).set(1)
        for outcome, more in (life.searches - self._counted).items():
            self._searches.labels(self._model, outcome).inc(more)
        self._counted = life.searches.copy()
        for cost in life.profile:
            self._time_ratio.labels(self._model, cost.kind).set(cost.time_share)
            self._memory_ratio.labels(self._model, cost.kind).set(cost.memory_share)
        admitted, shadow = life.standing.admitted, life.shadow
        if admitted is None:
            return
        live = None if shadow is None else shadow.agreement()
        report = admitted.report.agreement
        for bound, value in (report.measured if live is None else live)._asdict().items():
            self._accuracy.labels(self._model, variant, bound).set(value)
        self._accuracy.labels(self._model, variant, "self").set(report.itself)
        self._samples.labels(self._model, variant, "report").set(admitted.report.samples)
        self._samples.labels(self._model, variant, "shadow").set(0 if shadow is None else shadow.samples)
