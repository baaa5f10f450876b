"""vLLM, V1 metrics (0.10.2 to 0.33.0 were read). Names are chosen by presence: distributions backport.

Three traps. A decode loop keeps a GPU active at one request as at a hundred: how full a replica is, the sequences that
run tell (analysis/occupancy), or, before their times are known, its KV cache and a queue, which forms only where no
more sequences fit. Its own end-to-end histogram starts at 0.3 s: a pod with more than half of its requests below that
is read from the HTTP histogram where it exists, else its percentile is refused by the analysis. Its engine counters do
not know of 5xx answers: those come from the HTTP counters, where only POST /v1/… counts, as probes dilute the ratio.
"""

from __future__ import annotations

from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.rows import (
    BY,
    ON,
    durations,
    freshness,
    histogram,
    mean,
    per_second,
    per_second_by,
    request_count,
    request_rate,
    scrape_interval,
    share,
)
from trimtab_operator.runtimes.table import Detection, Query, Runtime, by_signal

_API = 'method="POST",handler=~"/v1/.*"'
_FINISHED_TOTAL = "vllm:request_success_total"

_HTTP_OFFERED = per_second("http_requests_total", f'{_API},status!~"4..|4xx",')
_FINISHED = per_second(_FINISHED_TOTAL, 'finished_reason!="abort",')
_HTTP_FAILED = per_second("http_requests_total", _API + ',status=~"5..|5xx",')
_HTTP_ERRORS = f"({_HTTP_FAILED} or 0 * {_HTTP_OFFERED})"
_ENGINE_FAILED = per_second(_FINISHED_TOTAL, 'finished_reason="error",')
_ENGINE_ERRORS = f"({_ENGINE_FAILED} or 0 * {_FINISHED})"
_FAILED_BY_STATUS = per_second_by("status", "http_requests_total", _API + ',status=~"5..|5xx",')
_FAILED_BY_REASON = per_second_by("finished_reason", _FINISHED_TOTAL, 'finished_reason="error",')
_E2E = "vllm:e2e_request_latency_seconds"
_E2E_FIRST = f'sum {BY} (increase({_E2E}_bucket{{le="0.3",$selector}}[$window]))'
_E2E_COUNT = f"sum {BY} (increase({_E2E}_count{{$selector}}[$window]))"
_MOSTLY_IN_FIRST = f"({_E2E_FIRST} / {_E2E_COUNT} > 0.5)"
_BETWEEN_TOKENS = "vllm:inter_token_latency_seconds"
_HTTP_LATENCY = histogram("http_request_duration_highr_seconds")
_HITS, _LOOKUPS = "vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"


def _tokens(signal: Signal, counter: str) -> Query:
    return Query(signal, per_second(counter), kind="rate", unit="tokens/s", how="sum", needs=(counter,))


VLLM = Runtime(
    name="vllm",
    detect=Detection(
        images=("vllm/vllm-openai", "lmcache/vllm-openai", "llm-d/llm-d-cuda", "nvidia/vllm", "/vllm"),
        commands=("vllm serve", "vllm.entrypoints"),
        env_prefixes=("VLLM_",),
        metric_prefix="vllm:",
    ),
    queries=by_signal(
        request_rate(Signal.REQUESTS_PER_SECOND, f"{_HTTP_OFFERED} or {_FINISHED}", _FINISHED_TOTAL),
        request_rate(Signal.ERRORS_PER_SECOND, f"{_HTTP_ERRORS} or {_ENGINE_ERRORS}", _FINISHED_TOTAL),
        request_rate(
            Signal.REJECTED_PER_SECOND,
            f"{per_second('vllm:admission_rejections_total')} or 0 * {_FINISHED}",
            _FINISHED_TOTAL,
        ),
        durations(
            Signal.LATENCY_SECONDS,
            _E2E,
            f"({histogram(_E2E)} unless {ON} ({_MOSTLY_IN_FIRST} and {ON} {_HTTP_LATENCY}))"
            f" or ({_HTTP_LATENCY} and {ON} {_MOSTLY_IN_FIRST})",
        ),
        durations(Signal.QUEUE_SECONDS, "vllm:request_queue_time_seconds"),
        durations(Signal.SERVICE_SECONDS, "vllm:request_inference_time_seconds"),
        durations(Signal.TIME_TO_FIRST_TOKEN_SECONDS, "vllm:time_to_first_token_seconds"),
        durations(
            Signal.INTER_TOKEN_LATENCY_SECONDS,
            _BETWEEN_TOKENS,
            f"{histogram(_BETWEEN_TOKENS)} or {histogram('vllm:time_per_output_token_seconds')}",
        ),
        mean(Signal.LATENCY_MEAN_SECONDS, _E2E, "s"),
        mean(Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS, "vllm:time_to_first_token_seconds", "s"),
        mean(Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS, _BETWEEN_TOKENS, "s"),
        request_count(Signal.QUEUE_REQUESTS, "vllm:num_requests_waiting"),
        request_count(Signal.RUNNING_REQUESTS, "vllm:num_requests_running"),
        _tokens(Signal.PROMPT_TOKENS_PER_SECOND, "vllm:prompt_tokens_total"),
        _tokens(Signal.GENERATED_TOKENS_PER_SECOND, "vllm:generation_tokens_total"),
        mean(Signal.INPUT_TOKENS, "vllm:request_prompt_tokens", "tokens"),
        mean(Signal.OUTPUT_TOKENS, "vllm:request_generation_tokens", "tokens"),
        share(Signal.CACHE_HIT_RATIO, per_second(_HITS), per_second(_LOOKUPS), needs=(_HITS, _LOOKUPS)),
        Query(
            Signal.KV_CACHE_USED_RATIO,
            f"max {BY} (vllm:kv_cache_usage_perc{{$selector}}) or max {BY} (vllm:gpu_cache_usage_perc{{$selector}})",
            kind="gauge",
            unit="ratio",
            how="max",
            needs=("vllm:kv_cache_usage_perc",),
        ),
    ),
    freshness=freshness("vllm:num_requests_running"),
    scrape_interval=scrape_interval("vllm:num_requests_running"),
    error_reasons=f"{_FAILED_BY_STATUS} or ({_FAILED_BY_REASON} unless {ON} {_HTTP_OFFERED})",
    reason_labels=("status", "finished_reason"),
    fullness=(Signal.KV_CACHE_USED_RATIO,),
    queue_means_full=True,
)
