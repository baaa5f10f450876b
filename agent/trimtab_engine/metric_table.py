"""Every metric that the engine exposes: one table that docs and tests read."""

from __future__ import annotations

from typing import NamedTuple

# Edges at most 1.25 times apart, so that a percentile is known within 25 %; the last one is at least 60 s.
SECONDS_BUCKETS = tuple(0.001 * 1.25**k for k in range(51))
SIZE_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
RATIO_BUCKETS = (0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
GAP_BUCKETS = tuple(0.0001 * 2.0**k for k in range(20))  # a gap is tenths of a millisecond; a restart takes seconds
PERIOD = "trimtab_engine_period_"
"""What the second face of a histogram begins its name with: its observations by period of settings."""


class MetricSpec(NamedTuple):
    """One row of the table."""

    name: str
    type: str  # counter | gauge | histogram | gaugehistogram
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
        "trimtab_engine_period_request_seconds",
        "gaugehistogram",
        ("model", "settings"),
        "Request seconds since the settings changed (current) and in the period before (previous), by the settings "
        "under which a request's first batch ran.",
    ),
    MetricSpec(
        "trimtab_engine_period_queue_seconds",
        "gaugehistogram",
        ("model", "settings"),
        "Queue seconds since the settings changed (current) and in the period before (previous).",
    ),
    MetricSpec(
        "trimtab_engine_period_batch_seconds",
        "gaugehistogram",
        ("model", "settings"),
        "Batch seconds since the settings changed (current) and in the period before (previous).",
    ),
    MetricSpec(
        "trimtab_engine_period_batch_size",
        "gaugehistogram",
        ("model", "settings"),
        "Items per batch since the settings changed (current) and in the period before (previous).",
    ),
    MetricSpec(
        "trimtab_engine_batch_prediction_ratio",
        "histogram",
        ("model",),
        "Seconds that a pass took over those that were predicted; none before anything is predicted.",
        RATIO_BUCKETS,
    ),
    MetricSpec(
        "trimtab_engine_batch_tokens_total",
        "counter",
        ("model", "kind"),
        "Tokens of the batches: input, and padding to the longest row of the batch.",
    ),
    MetricSpec(
        "trimtab_engine_phase_seconds_total",
        "counter",
        ("model", "phase"),
        "Where time goes: tokenize and queue, summed over requests; copy_in, pass, copy_out, handover and answer, "
        "summed over batches.",
    ),
    MetricSpec(
        "trimtab_engine_idle_gap_seconds",
        "histogram",
        ("model",),
        "Result of a batch to the handing over of the next, where inputs waited when the result came.",
        GAP_BUCKETS,
    ),
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
    MetricSpec("trimtab_engine_variant", "gauge", ("model", "variant"), "1 for the variant in force; base = original."),
    MetricSpec(
        "trimtab_engine_accuracy_ratio",
        "gauge",
        ("model", "variant", "bound"),
        "Agreement of the variant in force with the original: value, low and high (95 %), of live answers once any are "
        "compared, else of the report set; self = the original against itself.",
    ),
    MetricSpec(
        "trimtab_engine_accuracy_samples",
        "gauge",
        ("model", "variant", "source"),
        "Inputs that the agreement was measured on: report = before the swap, shadow = answers since.",
    ),
    MetricSpec(
        "trimtab_engine_variant_searches_total",
        "counter",
        ("model", "outcome"),
        "Wishes for a variant by outcome: admitted, refused, canceled; and of variants in force: gated_again, "
        "timed_again, rolled_back (accuracy), no_longer_faster.",
    ),
    MetricSpec(
        "trimtab_engine_layer_time_ratio",
        "gauge",
        ("model", "layer_kind"),
        "Share of the time of a pass of the original by kind of layer (path without numbers), from the last profile.",
    ),
    MetricSpec(
        "trimtab_engine_layer_memory_ratio",
        "gauge",
        ("model", "layer_kind"),
        "Share of the original's weights and of what a pass allocates by kind of layer, from the last profile.",
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
    MetricSpec(
        "trimtab_engine_errors_total",
        "counter",
        ("model", "reason", "length_bucket"),
        "Inference requests without a result by reason and the longest input's length, rounded up to a power of two; "
        "none = refused before its length was known.",
    ),
    MetricSpec(
        "trimtab_engine_waste_seconds_total",
        "counter",
        ("model", "kind"),
        "Seconds of busy time that bought nothing: padding, duplicates, copies, recompiles.",
    ),
    MetricSpec(
        "trimtab_engine_memory_ladder_step",
        "gauge",
        (),
        "How far memory has made the engine give way: 0 = not at all, 1 = no new cache entries, 2 = cache evicted, "
        "3 = small batches, 4 = spare variants dropped, 5 = new requests refused.",
    ),
    MetricSpec("trimtab_engine_memory_ladder_moves_total", "counter", ("direction",), "Steps of the ladder: up, down."),
    MetricSpec(
        "trimtab_engine_memory_bytes",
        "gauge",
        ("kind",),
        "Memory of the container: used (less file pages beyond 48 MiB), limit, idle (what the idle engine takes). "
        "Absent where nothing is limited.",
    ),
    MetricSpec(
        "trimtab_engine_out_of_memory_total", "counter", ("model",), "Batches that found no memory and were split."
    ),
    MetricSpec("trimtab_engine_ready", "gauge", (), "1 while requests are accepted, else 0."),
    MetricSpec("trimtab_engine_build", "gauge", ("version", "torch", "device"), "1 for the running build."),
)
