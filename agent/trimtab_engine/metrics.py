"""The metrics of the table as objects, bound to the models that are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cached_property

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client import disable_created_metrics as _disable_created_metrics

from trimtab_engine.batching.rule import DropReason
from trimtab_engine.errors import EngineError, Outcome
from trimtab_engine.histogram import Histogram, ModelHistogram
from trimtab_engine.memory.gauges import MemoryMetrics
from trimtab_engine.metric_table import METRICS, PERIOD, SECONDS_BUCKETS, MetricSpec
from trimtab_engine.passes import PassMetrics, Phase
from trimtab_engine.periods import SettingsPeriods
from trimtab_engine.variants.figures import VariantMetrics
from trimtab_engine.waste import WasteLedger

_PREFIX = "trimtab_engine_"
SHARED_BY_ALL = "*"  # the label `model` of what several models share; no model is named so


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

    def __init__(self, registry: CollectorRegistry, objectives_seconds: Sequence[float]) -> None:
        by_period = {spec.name: spec for spec in METRICS if spec.type == "gaugehistogram"}
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        for spec in METRICS:
            if spec.type == "histogram":
                period = by_period.get(PERIOD + spec.name.removeprefix(_PREFIX))
                self._made[spec.name] = Histogram(spec, _edges(spec, objectives_seconds), period)
            elif spec.name not in by_period:
                self._made[spec.name] = _make(spec, registry)

    @property
    def histograms(self) -> list[Histogram]:
        """Those of the rows that are none of the registry's: it would take ten times as long to expose them."""
        return [metric for metric in self._made.values() if isinstance(metric, Histogram)]

    def counter(self, name: str) -> Counter:
        metric = self._made[_PREFIX + name]
        assert isinstance(metric, Counter)  # noqa: S101  the table says so
        return metric

    def gauge(self, name: str) -> Gauge:
        metric = self._made[_PREFIX + name]
        assert isinstance(metric, Gauge)  # noqa: S101
        return metric

    def histogram(self, name: str, model: str) -> ModelHistogram:
        metric = self._made[_PREFIX + name]
        assert isinstance(metric, Histogram)  # noqa: S101
        return metric.of(model)


class RunningTotal:
    """A counter that follows a total kept elsewhere, which only grows."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._counted = 0.0

    def reaches(self, total: float) -> None:
        """Count what the total has grown by since the last time."""
        self._counter.inc(total - self._counted)
        self._counted = total


class RequestMetrics:
    """How inference requests ended: those for one model, or those that name none that is served."""

    def __init__(self, table: _Table, model: str) -> None:
        self.requests = {outcome: table.counter("requests_total").labels(model, outcome.value) for outcome in Outcome}
        self._errors = table.counter("errors_total")
        self._model = model

    def refused(self, error: EngineError, longest: int | None = None) -> None:
        """Count an inference request without a result; `longest` is the length of its longest input, None = unknown."""
        self.requests[error.outcome].inc()
        bucket = "none" if longest is None else str(1 << (longest - 1).bit_length())
        self._errors.labels(self._model, error.reason, bucket).inc()


class ModelMetrics(RequestMetrics):
    """What is exposed of one model, with its label already bound."""

    def __init__(self, table: _Table, model: str, free_since: dict[str, float]) -> None:
        """`free_since` is that of all models' passes, see `PassMetrics`."""
        super().__init__(table, model)
        counter, gauge = table.counter, table.gauge
        self._histograms = [each.of(model) for each in table.histograms]
        self.request_seconds = table.histogram("request_seconds", model)
        self.periods = SettingsPeriods(self._turn)
        self.passes = PassMetrics(model, self.periods, counter, lambda name: table.histogram(name, model), free_since)
        self.drops = {reason: counter("drops_total").labels(model, reason.value) for reason in DropReason}
        self.queue_requests = gauge("queue_requests").labels(model)
        self.queue_limit_requests = gauge("queue_limit_requests").labels(model)
        self.inflight_requests = gauge("inflight_requests").labels(model)
        self.cache_hits = counter("cache_hits_total").labels(model)
        self.cache_misses = counter("cache_misses_total").labels(model)
        self.cache_shared = RunningTotal(counter("cache_shared_total").labels(model))
        self.sampled_inputs = RunningTotal(counter("sampled_inputs_total").labels(model))
        self.sampled_repeats = RunningTotal(counter("sampled_repeats_total").labels(model))
        self.variants = VariantMetrics(model, gauge, counter)
        self.waste = WasteLedger(counter("waste_seconds_total"), model)
        counter("out_of_memory_total").labels(model)
        self._busy_seconds = counter("worker_busy_seconds_total")
        self._setting = gauge("setting")
        self._phase_seconds = counter("phase_seconds_total")

    @cached_property
    def tokenize_seconds(self) -> RunningTotal:
        """What tokenizing has taken; there is no series before it is asked for, as tensors need none."""
        return RunningTotal(self._phase_seconds.labels(self._model, Phase.TOKENIZE.value))

    def worker_known(self, device: str) -> None:
        """Start the series of a worker."""
        self._busy_seconds.labels(self._model, device).inc(0)

    def worker_busy(self, device: str, seconds: float) -> None:
        """Add the wall time of one batch."""
        self._busy_seconds.labels(self._model, device).inc(seconds)

    def settings_in_force(self, values: Iterable[tuple[str, float]]) -> None:
        """Publish the settings, each as (name, value)."""
        for name, value in values:
            self._setting.labels(self._model, name).set(value)

    def _turn(self) -> None:
        for histogram in self._histograms:
            histogram.turn()


class EngineMetrics:
    """The table as prometheus_client objects in a registry of their own.

    What the models share (the cache) and requests that name none of them have the label of the only model, or `*` where
    there are several.
    """

    def __init__(self, *models: str, objectives_seconds: Sequence[float] = ()) -> None:
        """Make everything; the histograms of seconds get an exact edge at each of the objectives."""
        _disable_created_metrics()  # type: ignore[no-untyped-call]  # halves the exposition; the start time is process_start_time_seconds
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        table = _Table(self.registry, objectives_seconds)
        self._histograms = table.histograms
        counter, gauge = table.counter, table.gauge
        self._shared = shared = models[0] if len(models) == 1 else SHARED_BY_ALL
        free_since: dict[str, float] = {}
        self.models = {model: ModelMetrics(table, model, free_since) for model in models}
        self.unnamed: RequestMetrics = self.models[shared] if shared in self.models else RequestMetrics(table, shared)
        self.cache_bytes = gauge("cache_bytes").labels(shared)
        self.cache_limit_bytes = gauge("cache_limit_bytes").labels(shared)
        self.cache_evictions = RunningTotal(counter("cache_evictions_total").labels(shared))
        self.cache_expired = RunningTotal(counter("cache_expired_total").labels(shared))
        self.ready = gauge("ready")
        self.memory = MemoryMetrics(gauge, counter)
        settings = gauge("settings_generation"), gauge("settings_applied")
        self.link = LinkMetrics(gauge("agent_state"), counter("settings_changes_total"), *settings)
        self._cache_rule = gauge("cache_rule")
        self._ghost_hit_ratio = gauge("cache_ghost_hit_ratio")
        self._restarts = counter("worker_restarts_total")
        self._build = gauge("build")

    def worker_known(self, version: str, torch: str, device: str) -> None:
        """Start the series of a worker that has told what it runs on."""
        self._build.labels(version, torch, device).set(1)
        self._restarts.labels(device).inc(0)
        for model in self.models.values():
            model.worker_known(device)

    def worker_restarted(self, device: str) -> None:
        """Count one worker process started after a death."""
        self._restarts.labels(device).inc()

    def eviction_is(self, rule: str, ghost_hit_ratios: Mapping[str, float]) -> None:
        """Publish the rule of eviction, and what each would hit."""
        self._cache_rule.clear()
        self._cache_rule.labels(self._shared, rule).set(1)
        for name, ratio in ghost_hit_ratios.items():
            self._ghost_hit_ratio.labels(self._shared, name).set(ratio)

    def exposition(self) -> bytes:
        """Return the text that GET /metrics answers."""
        return generate_latest(self.registry) + "".join([each.text() for each in self._histograms]).encode()


def _make(spec: MetricSpec, registry: CollectorRegistry) -> Counter | Gauge:
    if spec.type == "counter":
        return Counter(spec.name.removesuffix("_total"), spec.help, spec.labels, registry=registry)
    return Gauge(spec.name, spec.help, spec.labels, registry=registry)


def _edges(spec: MetricSpec, objectives_seconds: Sequence[float]) -> tuple[float, ...]:
    if spec.buckets is not SECONDS_BUCKETS:
        return spec.buckets
    return tuple(sorted({*SECONDS_BUCKETS, *objectives_seconds}))
