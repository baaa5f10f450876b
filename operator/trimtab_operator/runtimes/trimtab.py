"""Our own engine. Requests are counted by outcome; mistakes (bad_request) and leavers (canceled) are no load.

Offered load: ok, rejected (429), expired (deadline), error (5xx), draining (503).
Errors: what the server failed or refused: rejected, expired, error, draining.
"""

from __future__ import annotations

from trimtab_api.engine_knobs import Knob
from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.table import Detection, KnobRow, Query, Runtime, by_signal

_BY = "by ($namespace_label, $pod_label)"
_BY_LE = "by ($namespace_label, $pod_label, le)"
_OFFERED = f'sum {_BY} (rate(trimtab_engine_requests_total{{outcome!~"bad_request|canceled",$selector}}[$window]))'


def _outcomes(pattern: str) -> str:
    """Count requests per second with these outcomes; 0 where the pod has requests but none of these."""
    counted = f'sum {_BY} (rate(trimtab_engine_requests_total{{outcome=~"{pattern}",$selector}}[$window]))'
    return f"{counted} or 0 * {_OFFERED}"


def _histogram(name: str) -> str:
    return f"sum {_BY_LE} (increase({name}_bucket{{$selector}}[$window]))"


def _per_second(name: str) -> str:
    return f"sum {_BY} (rate({name}{{$selector}}[$window]))"


def _gauge(name: str) -> str:
    return f"sum {_BY} ({name}{{$selector}})"


_HITS = _per_second("trimtab_engine_cache_hits_total")
_SEEN_BEFORE = _per_second("trimtab_engine_sampled_repeats_total")
_SAMPLED = _per_second("trimtab_engine_sampled_inputs_total")
_LOOKUPS = f"({_HITS} + {_per_second('trimtab_engine_cache_misses_total')})"

TRIMTAB = Runtime(
    name="trimtab",
    detect=Detection(
        images=("trimtab/engine",),
        commands=("trimtab-engine", "trimtab_engine"),
        env_prefixes=("TRIMTAB_MODEL",),
        metric_prefix="trimtab_engine_",
    ),
    queries=by_signal(
        Query(
            Signal.REQUESTS_PER_SECOND,
            _OFFERED,
            kind="rate",
            unit="requests/s",
            how="sum",
            needs=("trimtab_engine_requests_total",),
        ),
        Query(
            Signal.ERRORS_PER_SECOND,
            _outcomes("rejected|expired|error|draining"),
            kind="rate",
            unit="requests/s",
            how="sum",
            needs=("trimtab_engine_requests_total",),
        ),
        Query(
            Signal.REJECTED_PER_SECOND,
            _outcomes("rejected"),
            kind="rate",
            unit="requests/s",
            how="sum",
            needs=("trimtab_engine_requests_total",),
        ),
        Query(
            Signal.LATENCY_SECONDS,
            _histogram("trimtab_engine_request_seconds"),
            kind="histogram",
            unit="s",
            how="sum",
            needs=("trimtab_engine_request_seconds_bucket",),
        ),
        Query(
            Signal.QUEUE_SECONDS,
            _histogram("trimtab_engine_queue_seconds"),
            kind="histogram",
            unit="s",
            how="sum",
            needs=("trimtab_engine_queue_seconds_bucket",),
        ),
        Query(
            Signal.SERVICE_SECONDS,
            _histogram("trimtab_engine_batch_seconds"),
            kind="histogram",
            unit="s",
            how="sum",
            needs=("trimtab_engine_batch_seconds_bucket",),
        ),
        Query(
            Signal.QUEUE_REQUESTS,
            _gauge("trimtab_engine_queue_requests"),
            kind="gauge",
            unit="requests",
            how="sum",
            needs=("trimtab_engine_queue_requests",),
        ),
        Query(
            Signal.RUNNING_REQUESTS,
            _gauge("trimtab_engine_inflight_requests"),
            kind="gauge",
            unit="requests",
            how="sum",
            needs=("trimtab_engine_inflight_requests",),
        ),
        Query(
            Signal.BUSY_RATIO,
            f"avg {_BY} (rate(trimtab_engine_worker_busy_seconds_total{{$selector}}[$window]))",
            kind="rate",
            unit="ratio",
            how="mean",
            needs=("trimtab_engine_worker_busy_seconds_total",),
        ),
        Query(
            Signal.BATCH_SIZE,
            f"{_per_second('trimtab_engine_batch_size_sum')} / ({_per_second('trimtab_engine_batch_size_count')} > 0)",
            kind="ratio",
            unit="items",
            how="mean",
            needs=("trimtab_engine_batch_size_sum", "trimtab_engine_batch_size_count"),
        ),
        Query(
            Signal.CACHE_HIT_RATIO,
            f"{_HITS} / ({_LOOKUPS} > 0)",
            kind="ratio",
            unit="ratio",
            how="mean",
            needs=("trimtab_engine_cache_hits_total", "trimtab_engine_cache_misses_total"),
        ),
        Query(
            Signal.INPUT_REPEAT_RATIO,
            f"{_SEEN_BEFORE} / ({_SAMPLED} > 0)",
            kind="ratio",
            unit="ratio",
            how="mean",
            needs=("trimtab_engine_sampled_repeats_total", "trimtab_engine_sampled_inputs_total"),
        ),
        Query(
            Signal.ACCURACY_RATIO,
            f'min {_BY} (trimtab_engine_accuracy_ratio{{bound="low",$selector}})',
            kind="ratio",
            unit="ratio",
            how="min",
            needs=("trimtab_engine_accuracy_ratio",),
        ),
        Query(
            Signal.AGENT_UNTRUSTED,
            f'max {_BY} (trimtab_engine_agent_state{{state="untrusted",$selector}})',
            kind="gauge",
            unit="1 while untrusted",
            how="max",
            needs=("trimtab_engine_agent_state",),
        ),
    ),
    freshness=f"max {_BY} (timestamp(trimtab_engine_ready{{$selector}}))",
    scrape_interval=f"120 / max {_BY} (count_over_time(trimtab_engine_ready{{$selector}}[2m]))",
    layer_time=(
        f"topk {_BY} (5, avg by ($namespace_label, $pod_label, layer_kind) "
        "(trimtab_engine_layer_time_ratio{$selector}))"
    ),
    knobs=(
        KnobRow(Knob.MAX_BATCH_SIZE, 1, 64),
        KnobRow(Knob.MAX_QUEUE_DELAY, 0.0, 0.020),
        KnobRow(Knob.CACHE_MEMORY, 0, 64 * 2**20),
        KnobRow(Knob.MAX_BATCH_TOKENS, 1024, 16384, safe=False),
        KnobRow(Knob.LATENCY_TARGET, 0.05, 1.0, safe=False),
    ),
)
