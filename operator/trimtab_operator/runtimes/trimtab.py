"""Our own engine. Requests are counted by outcome; mistakes (bad_request) and leavers (canceled) are no load.

Offered load: ok, rejected (429), expired (deadline), error (5xx), draining (503).
Errors: what the server failed or refused: rejected, expired, error, draining.
"""

from __future__ import annotations

from trimtab_api.engine_knobs import Knob
from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.rows import (
    BY,
    durations,
    freshness,
    mean,
    per_second,
    per_second_by,
    request_count,
    request_rate,
    scrape_interval,
    share,
)
from trimtab_operator.runtimes.table import Detection, KnobRow, Query, Runtime, by_signal

_REQUESTS = "trimtab_engine_requests_total"
_OFFERED = per_second(_REQUESTS, 'outcome!~"bad_request|canceled",')


def _outcomes(pattern: str) -> str:
    """Count requests per second with these outcomes; 0 where the pod has requests but none of these."""
    counted = per_second(_REQUESTS, f'outcome=~"{pattern}",')
    return f"{counted} or 0 * {_OFFERED}"


_ERRORS = "rejected|expired|error|draining"
_HITS, _MISSES = "trimtab_engine_cache_hits_total", "trimtab_engine_cache_misses_total"
_TOKENS = per_second("trimtab_engine_batch_tokens_total", 'kind="input",')
_REPEATS, _SAMPLED = "trimtab_engine_sampled_repeats_total", "trimtab_engine_sampled_inputs_total"

TRIMTAB = Runtime(
    name="trimtab",
    detect=Detection(
        images=("trimtab/engine",),
        commands=("trimtab-engine", "trimtab_engine"),
        env_prefixes=("TRIMTAB_MODEL",),
        metric_prefix="trimtab_engine_",
    ),
    queries=by_signal(
        request_rate(Signal.REQUESTS_PER_SECOND, _OFFERED, _REQUESTS),
        request_rate(Signal.ERRORS_PER_SECOND, _outcomes(_ERRORS), _REQUESTS),
        request_rate(Signal.REJECTED_PER_SECOND, _outcomes("rejected"), _REQUESTS),
        durations(Signal.LATENCY_SECONDS, "trimtab_engine_request_seconds"),
        durations(Signal.QUEUE_SECONDS, "trimtab_engine_queue_seconds"),
        durations(Signal.SERVICE_SECONDS, "trimtab_engine_batch_seconds"),
        request_count(Signal.QUEUE_REQUESTS, "trimtab_engine_queue_requests"),
        request_count(Signal.RUNNING_REQUESTS, "trimtab_engine_inflight_requests"),
        Query(
            Signal.BUSY_RATIO,
            f"avg {BY} (sum by ($namespace_label, $pod_label, device) "
            "(rate(trimtab_engine_worker_busy_seconds_total{$selector}[$window])))",
            kind="rate",
            unit="ratio",
            how="mean",
            needs=("trimtab_engine_worker_busy_seconds_total",),
        ),
        mean(Signal.BATCH_SIZE, "trimtab_engine_batch_size", "items"),
        Query(
            Signal.INPUT_TOKENS,
            f"{_TOKENS} / ({per_second('trimtab_engine_batch_size_sum')} > 0)",
            kind="ratio",
            unit="tokens",
            how="mean",
            needs=("trimtab_engine_batch_tokens_total", "trimtab_engine_batch_size_sum"),
        ),
        share(
            Signal.CACHE_HIT_RATIO,
            per_second(_HITS),
            f"({per_second(_HITS)} + {per_second(_MISSES)})",
            needs=(_HITS, _MISSES),
        ),
        share(Signal.INPUT_REPEAT_RATIO, per_second(_REPEATS), per_second(_SAMPLED), needs=(_REPEATS, _SAMPLED)),
        Query(
            Signal.ACCURACY_RATIO,
            f'min {BY} (trimtab_engine_accuracy_ratio{{bound="low",$selector}})',
            kind="ratio",
            unit="ratio",
            how="min",
            needs=("trimtab_engine_accuracy_ratio",),
        ),
        Query(
            Signal.AGENT_UNTRUSTED,
            f'max {BY} (trimtab_engine_agent_state{{state="untrusted",$selector}})',
            kind="gauge",
            unit="1 while untrusted",
            how="max",
            needs=("trimtab_engine_agent_state",),
        ),
    ),
    freshness=freshness("trimtab_engine_ready"),
    scrape_interval=scrape_interval("trimtab_engine_ready"),
    layer_time=(
        f"topk {BY} (5, avg by ($namespace_label, $pod_label, layer_kind) "
        "(trimtab_engine_layer_time_ratio{$selector}))"
    ),
    error_reasons=per_second_by("outcome", _REQUESTS, f'outcome=~"{_ERRORS}",'),
    reason_labels=("outcome",),
    knobs=(
        KnobRow(Knob.MAX_BATCH_SIZE, 1, 64),
        KnobRow(Knob.MAX_QUEUE_DELAY, 0.0, 0.020),
        KnobRow(Knob.CACHE_MEMORY, 0, 64 * 2**20),
        KnobRow(Knob.MAX_BATCH_TOKENS, 1024, 16384, safe=False),
        KnobRow(Knob.LATENCY_TARGET, 0.05, 1.0, safe=False),
    ),
)
