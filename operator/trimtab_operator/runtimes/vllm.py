"""vLLM, V1 metrics (0.10.2 to 0.33.0 were read). Names are chosen by presence: distributions backport.

Three traps. A decode loop keeps a GPU active at one request as at a hundred: how full a replica is, its KV cache tells,
and a queue, which forms only where no more sequences fit. Its own end-to-end histogram starts at 0.3 s: a pod with more
than half of its requests below that is read from the HTTP histogram where it exists, else its percentile is refused by
the analysis. Its engine counters do not know of 5xx answers: those come from the HTTP counters, where only POST /v1/…
counts (probes would dilute the ratio).
"""

from __future__ import annotations

from trimtab_operator.model.signals import Signal
from trimtab_operator.runtimes.table import Detection, Query, Runtime, by_signal

_BY = "by ($namespace_label, $pod_label)"
_BY_LE = "by ($namespace_label, $pod_label, le)"
_ON = "on ($namespace_label, $pod_label)"
_API = 'method="POST",handler=~"/v1/.*"'


def _per_second(name: str, matchers: str = "") -> str:
    return f"sum {_BY} (rate({name}{{{matchers}$selector}}[$window]))"


def _histogram(name: str) -> str:
    return f"sum {_BY_LE} (increase({name}_bucket{{$selector}}[$window]))"


def _gauge(name: str) -> str:
    return f"sum {_BY} ({name}{{$selector}})"


_HTTP_OFFERED = _per_second("http_requests_total", f'{_API},status!~"4..|4xx",')
_FINISHED = _per_second("vllm:request_success_total", 'finished_reason!="abort",')
_HTTP_FAILED = _per_second("http_requests_total", _API + ',status=~"5..|5xx",')
_HTTP_ERRORS = f"({_HTTP_FAILED} or 0 * {_HTTP_OFFERED})"
_ENGINE_FAILED = _per_second("vllm:request_success_total", 'finished_reason="error",')
_ENGINE_ERRORS = f"({_ENGINE_FAILED} or 0 * {_FINISHED})"
_E2E = "vllm:e2e_request_latency_seconds"
_E2E_FIRST = f'sum {_BY} (increase({_E2E}_bucket{{le="0.3",$selector}}[$window]))'
_E2E_COUNT = f"sum {_BY} (increase({_E2E}_count{{$selector}}[$window]))"
_MOSTLY_IN_FIRST = f"({_E2E_FIRST} / {_E2E_COUNT} > 0.5)"
_HTTP_LATENCY = _histogram("http_request_duration_highr_seconds")
_HITS = _per_second("vllm:prefix_cache_hits_total")
_LOOKUPS = _per_second("vllm:prefix_cache_queries_total")

VLLM = Runtime(
    name="vllm",
    detect=Detection(
        images=("vllm/vllm-openai", "lmcache/vllm-openai", "llm-d/llm-d-cuda", "nvidia/vllm", "/vllm"),
        commands=("vllm serve", "vllm.entrypoints"),
        env_prefixes=("VLLM_",),
        metric_prefix="vllm:",
    ),
    queries=by_signal(
        Query(
            Signal.REQUESTS_PER_SECOND,
            f"{_HTTP_OFFERED} or {_FINISHED}",
            kind="rate",
            unit="requests/s",
            how="sum",
            needs=("vllm:request_success_total",),
        ),
        Query(
            Signal.ERRORS_PER_SECOND,
            f"{_HTTP_ERRORS} or {_ENGINE_ERRORS}",
            kind="rate",
            unit="requests/s",
            how="sum",
            needs=("vllm:request_success_total",),
        ),
        Query(
            Signal.REJECTED_PER_SECOND,
            f"{_per_second('vllm:admission_rejections_total')} or 0 * {_FINISHED}",
            kind="rate",
            unit="requests/s",
            how="sum",
            needs=("vllm:request_success_total",),
        ),
        Query(
            Signal.LATENCY_SECONDS,
            f"({_histogram(_E2E)} unless {_ON} ({_MOSTLY_IN_FIRST} and {_ON} {_HTTP_LATENCY}))"
            f" or ({_HTTP_LATENCY} and {_ON} {_MOSTLY_IN_FIRST})",
            kind="histogram",
            unit="s",
            how="sum",
            needs=(f"{_E2E}_bucket",),
        ),
        Query(
            Signal.QUEUE_SECONDS,
            _histogram("vllm:request_queue_time_seconds"),
            kind="histogram",
            unit="s",
            how="sum",
            needs=("vllm:request_queue_time_seconds_bucket",),
        ),
        Query(
            Signal.SERVICE_SECONDS,
            _histogram("vllm:request_inference_time_seconds"),
            kind="histogram",
            unit="s",
            how="sum",
            needs=("vllm:request_inference_time_seconds_bucket",),
        ),
        Query(
            Signal.TIME_TO_FIRST_TOKEN_SECONDS,
            _histogram("vllm:time_to_first_token_seconds"),
            kind="histogram",
            unit="s",
            how="sum",
            needs=("vllm:time_to_first_token_seconds_bucket",),
        ),
        Query(
            Signal.INTER_TOKEN_LATENCY_SECONDS,
            f"{_histogram('vllm:inter_token_latency_seconds')} or {_histogram('vllm:time_per_output_token_seconds')}",
            kind="histogram",
            unit="s",
            how="sum",
            needs=("vllm:inter_token_latency_seconds_bucket",),
        ),
        Query(
            Signal.QUEUE_REQUESTS,
            _gauge("vllm:num_requests_waiting"),
            kind="gauge",
            unit="requests",
            how="sum",
            needs=("vllm:num_requests_waiting",),
        ),
        Query(
            Signal.RUNNING_REQUESTS,
            _gauge("vllm:num_requests_running"),
            kind="gauge",
            unit="requests",
            how="sum",
            needs=("vllm:num_requests_running",),
        ),
        Query(
            Signal.CACHE_HIT_RATIO,
            f"{_HITS} / ({_LOOKUPS} > 0)",
            kind="ratio",
            unit="ratio",
            how="mean",
            needs=("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"),
        ),
        Query(
            Signal.KV_CACHE_USED_RATIO,
            f"max {_BY} (vllm:kv_cache_usage_perc{{$selector}}) or max {_BY} (vllm:gpu_cache_usage_perc{{$selector}})",
            kind="gauge",
            unit="ratio",
            how="max",
            needs=("vllm:kv_cache_usage_perc",),
        ),
    ),
    freshness=f"max {_BY} (timestamp(vllm:num_requests_running{{$selector}}))",
    scrape_interval=f"120 / max {_BY} (count_over_time(vllm:num_requests_running{{$selector}}[2m]))",
    fullness=(Signal.KV_CACHE_USED_RATIO,),
    queue_means_full=True,
)
