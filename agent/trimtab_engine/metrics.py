"""Every metric that the engine exposes: one table that docs and tests read, and the objects made from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client import disable_created_metrics as _disable_created_metrics

from trimtab_engine.batching.rule import DropReason
from trimtab_engine.errors import Outcome

# Edges at most 1.25 times apart, so that a percentile is known within 25 %; the last one is at least 60 s.
SECONDS_BUCKETS = tuple(0.001 * 1.25**k for k in range(51))
SIZE_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_PREFIX = "trimtab_engine_"


class MetricSpec(NamedTuple):
    """One row of the table."""

    name: str
    type: str  # counter | gauge | histogram
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()


METRICS: tuple[MetricSpec, ...] = (
    MetricSpec(
        "trimtab_engine_requests_total",
        "counter",
        ("model", "outcome"),
        "Inference requests by how they ended: ok, bad_request, rejected (queue full), expired (deadline), "
        "error (5xx), draining, canceled (client gone).",
    ),
    MetricSpec(
        "trimtab_engine_request_seconds",
        "histogram",
        ("model",),
        "Last byte read to answer ready, queue included; admitted requests that ended ok or error.",
        SECONDS_BUCKETS,
    ),
    MetricSpec(
        "trimtab_engine_queue_seconds",
        "histogram",
        ("model",),
        "Admission to the last item's entry into a batch; only requests with an item that the cache did not answer.",
        SECONDS_BUCKETS,
    ),
    MetricSpec("trimtab_engine_batch_seconds", "histogram", ("model",), "One pass through the model.", SECONDS_BUCKETS),
    MetricSpec("trimtab_engine_batch_size", "histogram", ("model",), "Items per batch.", SIZE_BUCKETS),
    MetricSpec(
        "trimtab_engine_drops_total",
        "counter",
        ("model", "reason"),
        "Requests that left the queue unanswered: expired, unreachable (a pass takes longer than is left), overloaded.",
    ),
    MetricSpec("trimtab_engine_queue_requests", "gauge", ("model",), "Items that wait for a batch."),
    MetricSpec("trimtab_engine_queue_limit_requests", "gauge", ("model",), "Items that may wait; more are refused."),
    MetricSpec("trimtab_engine_inflight_requests", "gauge", ("model",), "Items in a batch now."),
    MetricSpec(
        "trimtab_engine_worker_busy_seconds_total",
        "counter",
        ("model", "device"),
        "Wall time in which the device's worker ran a batch.",
    ),
    MetricSpec("trimtab_engine_cache_hits_total", "counter", ("model",), "Items answered from the cache."),
    MetricSpec(
        "trimtab_engine_cache_misses_total", "counter", ("model",), "Items looked up in the cache and not found."
    ),
    MetricSpec(
        "trimtab_engine_cache_shared_total",
        "counter",
        ("model",),
        "Items not found that waited for the computation of an equal one instead of a second one.",
    ),
    MetricSpec("trimtab_engine_cache_expired_total", "counter", ("model",), "Entries found too old, and removed."),
    MetricSpec("trimtab_engine_cache_rule", "gauge", ("model", "rule"), "1 for the rule of eviction in force."),
    MetricSpec(
        "trimtab_engine_cache_ghost_hit_ratio",
        "gauge",
        ("model", "rule"),
        "Hit ratio that each rule would have, from caches of keys on a sample of the lookups.",
    ),
    MetricSpec("trimtab_engine_cache_bytes", "gauge", ("model",), "Bytes charged to the entries of the cache."),
    MetricSpec("trimtab_engine_cache_limit_bytes", "gauge", ("model",), "Byte budget of the cache; 0 = off."),
    MetricSpec("trimtab_engine_cache_evictions_total", "counter", ("model",), "Entries that left for want of room."),
    MetricSpec(
        "trimtab_engine_sampled_inputs_total",
        "counter",
        ("model",),
        "Items in the sample by which repeats are estimated: one in eight, chosen by hash, cache on or off.",
    ),
    MetricSpec(
        "trimtab_engine_sampled_repeats_total",
        "counter",
        ("model",),
        "Items in the sample that are among its last 4096 different ones.",
    ),
    MetricSpec(
        "trimtab_engine_setting",
        "gauge",
        ("model", "name"),
        "Settings in force: max_batch_size, max_queue_delay_seconds, cache_limit_bytes, queue_limit_requests.",
    ),
    MetricSpec(
        "trimtab_engine_agent_state",
        "gauge",
        ("state",),
        "1 for how it stands with the node's agent: off, connecting, attached, untrusted, refused or lost; else 0.",
    ),
    MetricSpec(
        "trimtab_engine_settings_changes_total",
        "counter",
        ("outcome",),
        "Settings documents by what became of them: applied, refused; expired = a trial's fallback came in force.",
    ),
    MetricSpec(
        "trimtab_engine_settings_generation",
        "gauge",
        (),
        "Generation of the NodeTuning that the last applied document was made from; 0 before the first.",
    ),
    MetricSpec(
        "trimtab_engine_settings_applied",
        "gauge",
        ("hash",),
        "1 for the hash of the settings body in force, or as-started before the first.",
    ),
    MetricSpec(
        "trimtab_engine_worker_restarts_total", "counter", ("device",), "Worker processes started after a death."
    ),
    MetricSpec("trimtab_engine_ready", "gauge", (), "1 while requests are accepted, else 0."),
    MetricSpec("trimtab_engine_build", "gauge", ("version", "torch", "device"), "1 for the running build."),
)


class AgentState(StrEnum):
    """How it stands with the node's agent; the label `state` of trimtab_engine_agent_state."""

    OFF = "off"  # no agent is configured
    CONNECTING = "connecting"  # it has not answered yet, or knows no settings yet
    ATTACHED = "attached"
    UNTRUSTED = "untrusted"  # token or CA is missing, or the CA does not vouch for what answers
    REFUSED = "refused"  # the agent does not accept our token
    LOST = "lost"  # it was attached and does not answer now


class SettingsChange(StrEnum):
    """What became of a settings document; the label `outcome` of trimtab_engine_settings_changes_total."""

    APPLIED = "applied"
    REFUSED = "refused"
    EXPIRED = "expired"


class LinkMetrics:
    """What is exposed of the link to the node's agent and of the settings that came by it."""

    def __init__(self, state: Gauge, changes: Counter, generation: Gauge, applied: Gauge) -> None:
        self.changes = {outcome: changes.labels(outcome.value) for outcome in SettingsChange}
        self.generation = generation
        self._states = {state_: state.labels(state_.value) for state_ in AgentState}
        self._applied = applied
        self.state_is(AgentState.OFF)
        self.applied_is(None)

    def state_is(self, present: AgentState) -> None:
        """Publish the present state."""
        for state, series in self._states.items():
            series.set(state is present)

    def applied_is(self, settings_hash: str | None) -> None:
        """Publish which settings are in force; None = those that the process started with."""
        self._applied.clear()
        self._applied.labels(settings_hash or "as-started").set(1)


class _Table:
    """The rows of the table as objects in a registry, by the part of their names after the prefix."""

    def __init__(self, registry: CollectorRegistry, model: str) -> None:
        self._made = {spec.name: _make(spec, registry) for spec in METRICS}
        self._model = model

    def counter(self, name: str) -> Counter:
        metric = self._made[_PREFIX + name]
        assert isinstance(metric, Counter)  # noqa: S101  the table says so
        return metric

    def gauge(self, name: str) -> Gauge:
        metric = self._made[_PREFIX + name]
        assert isinstance(metric, Gauge)  # noqa: S101
        return metric

    def histogram(self, name: str) -> Histogram:
        metric = self._made[_PREFIX + name]
        assert isinstance(metric, Histogram)  # noqa: S101
        return metric.labels(self._model)


class EngineMetrics:
    """The table as prometheus_client objects in a registry of their own, with the model's label already bound."""

    def __init__(self, model: str) -> None:
        _disable_created_metrics()  # type: ignore[no-untyped-call]  # halves the exposition; the start time is process_start_time_seconds
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        table = _Table(self.registry, model)
        counter, gauge, histogram = table.counter, table.gauge, table.histogram
        self.requests = {outcome: counter("requests_total").labels(model, outcome.value) for outcome in Outcome}
        self.request_seconds = histogram("request_seconds")
        self.queue_seconds = histogram("queue_seconds")
        self.batch_seconds = histogram("batch_seconds")
        self.batch_size = histogram("batch_size")
        self.drops = {reason: counter("drops_total").labels(model, reason.value) for reason in DropReason}
        self.queue_requests = gauge("queue_requests").labels(model)
        self.queue_limit_requests = gauge("queue_limit_requests").labels(model)
        self.inflight_requests = gauge("inflight_requests").labels(model)
        self.cache_hits = counter("cache_hits_total").labels(model)
        self.cache_misses = counter("cache_misses_total").labels(model)
        self.cache_bytes = gauge("cache_bytes").labels(model)
        self.cache_limit_bytes = gauge("cache_limit_bytes").labels(model)
        self.cache_evictions = counter("cache_evictions_total").labels(model)
        self.cache_shared = counter("cache_shared_total").labels(model)
        self.cache_expired = counter("cache_expired_total").labels(model)
        self.sampled_inputs = counter("sampled_inputs_total").labels(model)
        self.sampled_repeats = counter("sampled_repeats_total").labels(model)
        self.ready = gauge("ready")
        self.link = LinkMetrics(
            gauge("agent_state"),
            counter("settings_changes_total"),
            gauge("settings_generation"),
            gauge("settings_applied"),
        )
        self._model = model
        self._cache_rule = gauge("cache_rule")
        self._ghost_hit_ratio = gauge("cache_ghost_hit_ratio")
        self._busy_seconds = counter("worker_busy_seconds_total")
        self._setting = gauge("setting")
        self._restarts = counter("worker_restarts_total")
        self._build = gauge("build")

    def worker_known(self, version: str, torch: str, device: str) -> None:
        """Start the series of a worker that has told what it runs on."""
        self._build.labels(version, torch, device).set(1)
        self._busy_seconds.labels(self._model, device).inc(0)
        self._restarts.labels(device).inc(0)

    def worker_busy(self, device: str, seconds: float) -> None:
        """Add the wall time of one batch."""
        self._busy_seconds.labels(self._model, device).inc(seconds)

    def worker_restarted(self, device: str) -> None:
        """Count one worker process started after a death."""
        self._restarts.labels(device).inc()

    def eviction_is(self, rule: str, ghost_hit_ratios: Mapping[str, float]) -> None:
        """Publish the rule of eviction, and what each would hit."""
        self._cache_rule.clear()
        self._cache_rule.labels(self._model, rule).set(1)
        for name, ratio in ghost_hit_ratios.items():
            self._ghost_hit_ratio.labels(self._model, name).set(ratio)

    def settings_in_force(self, values: Iterable[tuple[str, float]]) -> None:
        """Publish the settings, each as (name, value)."""
        for name, value in values:
            self._setting.labels(self._model, name).set(value)

    def exposition(self) -> bytes:
        """Return the text that GET /metrics answers."""
        return generate_latest(self.registry)


def _make(spec: MetricSpec, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if spec.type == "counter":
        return Counter(spec.name.removesuffix("_total"), spec.help, spec.labels, registry=registry)
    if spec.type == "gauge":
        return Gauge(spec.name, spec.help, spec.labels, registry=registry)
    return Histogram(spec.name, spec.help, spec.labels, registry=registry, buckets=spec.buckets)
