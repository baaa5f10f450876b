"""The shape of a runtime's table: detection and queries. Data types only.

A PromQL template has the placeholders of `string.Template`:

* `$window`           a Prometheus duration of at least four scrape intervals, e.g. `20s`;
* `$selector`         label matchers that choose the namespaces, e.g. `namespace=~"a|b"`; stands last in the braces;
* `$namespace_label`, `$pod_label`   names of the labels that carry the pod that is measured.

Each template is one query for all policies; its answer has one row for each (namespace, pod), and `le` for histograms.
Reading rules: no rate over a name regex; a numerator that may be absent carries `or 0 * denominator`; a ratio whose
denominator is zero has no row (0/0 would be NaN); units are base units; a blank sentinel has no row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from string import Template
from typing import Literal

from trimtab_api.engine_knobs import Knob
from trimtab_operator.model.signals import Signal, Source

_OVER_PODS: dict[str, Callable[[Sequence[float]], float]] = {"sum": math.fsum, "mean": fmean, "max": max, "min": min}


@dataclass(frozen=True)
class Query:
    """How one signal is read from Prometheus.

    `how` combines the pods of one target; `needs` lists the metric names that must exist, the first of them being the
    one to look for when there is no answer. `source` says whose labels name the pod: the scrape's target labels
    (`engine`), or labels inside the metric (`agent`, `dcgm`), which a scrape without honor_labels renames `exported_*`.
    `by_gpu`, where a part of a GPU is read, answers the same for each GPU of a pod; the label `gpu` is its number.
    """

    signal: Signal
    promql: str
    kind: Literal["rate", "gauge", "histogram", "ratio"]
    unit: str
    how: Literal["sum", "mean", "max", "min"]
    needs: tuple[str, ...]
    source: Source = "engine"
    by_gpu: str = ""

    def over_pods(self, values: Sequence[float]) -> float:
        """Combine the values of one target's pods, of which there is at least one."""
        return _OVER_PODS[self.how](values)


@dataclass(frozen=True)
class Detection:
    """Evidence that a container runs this runtime; compared in lower case."""

    images: tuple[str, ...]  # fragments of the image reference without registry and tag
    commands: tuple[str, ...]  # fragments of command and args joined by blanks
    env_prefixes: tuple[str, ...]
    metric_prefix: str


@dataclass(frozen=True)
class KnobRow:
    """A setting that may be turned while the engine runs; `low` and `high` are safe values, in the knob's unit.

    One that is not in the safe set is turned only where a policy names it.
    """

    knob: Knob
    low: float
    high: float
    safe: bool = True


@dataclass(frozen=True)
class Runtime:
    """One serving runtime.

    `freshness` answers the time of each pod's newest sample (unix seconds); `scrape_interval` the spacing of samples
    in seconds (too large while a pod is younger than two minutes: take the smallest over the pods). `fullness` are the
    signals, 0 to 1, that tell how full a replica is; none means its devices (worker, GPU, CPU). `queue_means_full` says
    that requests wait only where a replica can take no more. `knobs` are what may be turned; the safe ones of them, and
    how far, also where a policy does not say. `layer_time`, where a runtime profiles its models, answers the costliest
    kinds of layers of each pod: their share of a pass (0 to 1), with the label `layer_kind`. `error_reasons`, where a
    runtime counts its errors by reason, answers each pod's errors per second with a label of `reason_labels`.
    """

    name: str
    detect: Detection
    queries: dict[Signal, Query]
    freshness: str
    scrape_interval: str
    fullness: tuple[Signal, ...] = ()
    queue_means_full: bool = False
    knobs: tuple[KnobRow, ...] = ()
    layer_time: str = ""
    error_reasons: str = ""
    reason_labels: tuple[str, ...] = ()


def render(template: str, *, window: str, selector: str, namespace_label: str, pod_label: str) -> str:
    """Fill the placeholders of a template; raises KeyError for one that is not in the list above."""
    return Template(template).substitute(
        window=window, selector=selector, namespace_label=namespace_label, pod_label=pod_label
    )


def by_signal(*queries: Query) -> dict[Signal, Query]:
    """Build the table of queries; a signal twice is a mistake in the table and raises ValueError."""
    table = {query.signal: query for query in queries}
    if len(table) != len(queries):
        raise ValueError("a signal has two queries")
    return table
