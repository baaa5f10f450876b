"""Every metric that the operator exports, in one table. Series of a policy go when the policy goes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector

from trimtab_operator.clock import Clock


@dataclass(frozen=True)
class MetricRow:
    """One exported metric. `policy` rows also carry the labels namespace and policy."""

    name: str
    kind: type[Counter] | type[Gauge] | type[Histogram]
    text: str
    labels: tuple[str, ...] = ()
    policy: bool = False


STEPS = ("observe", "analyze", "advance", "execute", "report")
STEP_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

TABLE: tuple[MetricRow, ...] = (
    MetricRow("trimtab_operator_reconcile_seconds", Histogram, "Time of one step of a tick. By step.", ("step",)),
    MetricRow("trimtab_operator_reconcile_total", Counter, "Ticks. By outcome: ok or the error's name.", ("outcome",)),
    MetricRow("trimtab_operator_queue_depth", Gauge, "Policies due and not yet looked at."),
    MetricRow("trimtab_operator_oldest_reconcile_seconds", Gauge, "Seconds that the most overdue policy is overdue."),
    MetricRow("trimtab_operator_leader", Gauge, "1 while this process holds the Lease."),
    MetricRow("trimtab_operator_prometheus_queries_total", Counter, "Queries. By outcome (state).", ("outcome",)),
    MetricRow(
        "trimtab_operator_writes_total",
        Counter,
        "Write calls to the API server. By kind, verb and outcome.",
        ("kind", "verb", "outcome"),
    ),
    MetricRow(
        "trimtab_operator_certificates_total",
        Counter,
        "Agents' certificate requests answered. By outcome: signed, denied, failed.",
        ("outcome",),
    ),
    MetricRow("trimtab_operator_ca_expires_seconds", Gauge, "Seconds until our newest authority ends; NaN: not read."),
    MetricRow(
        "trimtab_operator_node_tunings_total",
        Counter,
        "Looks at a node's NodeTuning. By outcome: same, written, withheld, no node, or the error's name.",
        ("outcome",),
    ),
    MetricRow("trimtab_operator_policies", Gauge, "Policies. By phase.", ("phase",)),
    MetricRow("trimtab_policy_replicas", Gauge, "Replicas. By kind: current, desired, uncapped.", ("kind",), True),
    MetricRow(
        "trimtab_policy_metrics_trusted", Gauge, "1 while the policy's metrics are trusted, 0 otherwise.", (), True
    ),
    MetricRow("trimtab_policy_objective_value", Gauge, "An objective, measured. By objective.", ("objective",), True),
    MetricRow(
        "trimtab_policy_objective_met", Gauge, "1 when met, 0 when violated. By objective.", ("objective",), True
    ),
    MetricRow(
        "trimtab_policy_objective_burn_rate",
        Gauge,
        "Share of bad requests over the allowed share. By objective and window: 5m, 1h.",
        ("objective", "window"),
        True,
    ),
    MetricRow(
        "trimtab_policy_objective_miss_timestamp_seconds",
        Gauge,
        "When an objective that is met will be missed, by its trend. By objective.",
        ("objective",),
        True,
    ),
    MetricRow(
        "trimtab_policy_bottleneck", Gauge, "1 for the present bottleneck. By bottleneck.", ("bottleneck",), True
    ),
    MetricRow("trimtab_policy_inert", Gauge, "1 when the load varies and nothing ever changes.", (), True),
    MetricRow("trimtab_policy_rollbacks_total", Counter, "Changes rolled back.", (), True),
    MetricRow("trimtab_policy_agent_connected", Gauge, "1 while node agents report the target's pods.", (), True),
    MetricRow(
        "trimtab_policy_cost_per_thousand_requests", Gauge, "Cost of 1000 requests, policy's currency.", (), True
    ),
)

Labels = tuple[str, ...]


class Telemetry:
    """The table's metrics in a registry of their own, with one method for each thing that happens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {row.name: self._make(row) for row in TABLE}
        self._policy_series: dict[tuple[str, str], dict[str, set[Labels]]] = {}
        self._phases: dict[tuple[str, str], str] = {}
        ProcessCollector(registry=self.registry)
        for step in STEPS:
            self._histogram("trimtab_operator_reconcile_seconds").labels(step)
        self.leader(held=False)
        self.authority(math.nan)

    def _make(self, row: MetricRow) -> Counter | Gauge | Histogram:
        labels = (("namespace", "policy") if row.policy else ()) + row.labels
        if row.kind is Histogram:
            return Histogram(row.name, row.text, labels, registry=self.registry, buckets=STEP_BUCKETS_SECONDS)
        return row.kind(row.name, row.text, labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        metric = self._metrics[name]
        assert isinstance(metric, Histogram)  # noqa: S101 - narrows the table's type
        return metric

    def _gauge(self, name: str) -> Gauge:
        metric = self._metrics[name]
        assert isinstance(metric, Gauge)  # noqa: S101 - narrows the table's type
        return metric

    def _count(self, name: str, *labels: str, amount: float = 1) -> None:
        metric = self._metrics[name]
        assert isinstance(metric, Counter)  # noqa: S101 - narrows the table's type
        (metric.labels(*labels) if labels else metric).inc(amount)

    def exposition(self) -> bytes:
        """Return the text that /metrics answers."""
        return generate_latest(self.registry)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step of a tick; the step's name is the function's name."""
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self._histogram("trimtab_operator_reconcile_seconds").labels(name).observe(
                self._clock.monotonic() - started
            )

    def tick(self, outcome: str) -> None:
        """One tick ended."""
        self._count("trimtab_operator_reconcile_total", outcome)

    def queue(self, depth: int, oldest_overdue_seconds: float) -> None:
        """Show the queue as it is now."""
        self._gauge("trimtab_operator_queue_depth").set(depth)
        self._gauge("trimtab_operator_oldest_reconcile_seconds").set(oldest_overdue_seconds)

    def leader(self, *, held: bool) -> None:
        """Show that the Lease was won or lost."""
        self._gauge("trimtab_operator_leader").set(1 if held else 0)

    def query(self, outcome: str) -> None:
        """One call to Prometheus ended in this state."""
        self._count("trimtab_operator_prometheus_queries_total", outcome)

    def write(self, kind: str, verb: str, outcome: str) -> None:
        """One write call ended."""
        self._count("trimtab_operator_writes_total", kind, verb, outcome)

    def certificate(self, outcome: str) -> None:
        """One certificate request was answered: signed or denied; or could not be: failed."""
        self._count("trimtab_operator_certificates_total", outcome)

    def authority(self, expires_seconds: float) -> None:
        """Show how long our newest certificate authority lives."""
        self._gauge("trimtab_operator_ca_expires_seconds").set(expires_seconds)

    def node(self, outcome: str) -> None:
        """One look at the settings of a node's engines ended."""
        self._count("trimtab_operator_node_tunings_total", outcome)

    def rolled_back(self, namespace: str, name: str, count: int) -> None:
        """Count changes of a policy that were rolled back."""
        self._count("trimtab_policy_rollbacks_total", namespace, name, amount=count)

    def policy(self, namespace: str, name: str, phase: str, values: Iterable[tuple[str, Labels, float]]) -> None:
        """Replace a policy's gauges by (metric, extra labels, value); what is not given disappears: absent is not 0."""
        key = (namespace, name)
        before, after = self._policy_series.get(key, {}), dict[str, set[Labels]]()
        for metric, labels, value in values:
            self._gauge(metric).labels(namespace, name, *labels).set(value)
            after.setdefault(metric, set()).add(labels)
        for metric, labels_before in before.items():
            for labels in labels_before - after.get(metric, set()):
                self._gauge(metric).remove(namespace, name, *labels)
        self._policy_series[key] = after
        self._count("trimtab_policy_rollbacks_total", namespace, name, amount=0)
        self._set_phase(key, phase)

    def forget_policy(self, namespace: str, name: str) -> None:
        """Remove every series of a policy that is gone."""
        key = (namespace, name)
        for metric, all_labels in self._policy_series.pop(key, {}).items():
            for labels in all_labels:
                self._gauge(metric).remove(namespace, name, *labels)
        counter = self._metrics["trimtab_policy_rollbacks_total"]
        if key in self._phases:
            counter.remove(namespace, name)
        self._set_phase(key, None)

    def _set_phase(self, key: tuple[str, str], phase: str | None) -> None:
        before = self._phases.pop(key, None)
        if phase is not None:
            self._phases[key] = phase
        for changed in {before, phase} - {None}:
            count = sum(1 for other in self._phases.values() if other == changed)
            self._gauge("trimtab_operator_policies").labels(changed).set(count)
