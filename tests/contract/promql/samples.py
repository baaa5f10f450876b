"""Known increments for every query of the runtime tables, and the numbers that a person would work out from them.

A counter that grows by n at each scrape has a rate of n / 5 s, and an increase of 4 n in the window of 20 s.
Pod 0 has these samples, pod 1 the doubled ones (factor 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from contract.promql.timeline import STEP, WINDOW_SECONDS, Case, Feed, shapes

from trimtab_operator.model.signals import Signal

VLLM = "vllm-0.32.0-cpu.txt"
SCRAPES_IN_WINDOW = WINDOW_SECONDS / STEP
BLANK = 9223372036854775794.0
GPU = {"gpu": "0", "UUID": "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52", "container": "server"}
SECOND_GPU = {"gpu": "1", "UUID": "GPU-b2b2b2b2-d9cf-fef3-62e9-d92044ab6e52", "container": "server"}
AGENT = {"namespace": "trimtab-system", "pod": "trimtab-agent-x", "simulated": "false"}


def per_second(increment: float) -> Callable[[float], float]:
    return lambda factor: increment * factor / STEP


def same(value: float) -> Callable[[float], float]:
    return lambda factor: value


def scaled(value: float) -> Callable[[float], float]:
    return lambda factor: value * factor


def bounds(name: str, *, file: str = "") -> list[str]:
    """Upper bounds as text: of the recorded exposition, or of the engine's own buckets."""
    if file:
        return list(dict.fromkeys(labels["le"] for labels in shapes(file, f"{name}_bucket")))
    return [*(repr(0.001 * 1.25**k) for k in range(0, 50, 7)), "+Inf"]


def histogram(name: str, file: str = "", *, optional: bool = False) -> tuple[tuple[Feed, ...], dict[str, float]]:
    """At each scrape one request falls into each finite bucket, and one above the last."""
    labels = shapes(file, f"{name}_bucket")[0] if file else {"model": "all-MiniLM-L6-v2"}
    growth = {le: float(number + 1) for number, le in enumerate(bounds(name, file=file))}
    feeds = tuple(Feed(f"{name}_bucket", {**labels, "le": le}, n, optional=optional) for le, n in growth.items())
    count = {key: value for key, value in labels.items() if key != "le"}
    feeds += (Feed(f"{name}_count", count, max(growth.values()), optional=optional),)
    return feeds, {le: n * SCRAPES_IN_WINDOW for le, n in growth.items()}


def histogram_case(name: str, file: str = "") -> Case:
    feeds, increase = histogram(name, file)
    return Case(feeds, lambda factor: {le: value * factor for le, value in increase.items()})


def outcome(name: str, increment: float, *, optional: bool = False) -> Feed:
    labels = {"model": "all-MiniLM-L6-v2", "outcome": name}
    return Feed("trimtab_engine_requests_total", labels, increment, optional=optional)


def engine(name: str, value: float, *, counter: bool = True, **labels: str) -> Feed:
    return Feed(f"trimtab_engine_{name}", {"model": "all-MiniLM-L6-v2", **labels}, value, counter)


OUTCOMES = (outcome("ok", 50), outcome("bad_request", 7), outcome("canceled", 3))
FAILURES = tuple(
    outcome(name, increment, optional=True)
    for name, increment in (("rejected", 5), ("expired", 4), ("error", 2), ("draining", 1))
)

TRIMTAB: dict[Signal, Case] = {
    Signal.REQUESTS_PER_SECOND: Case((*OUTCOMES, *FAILURES), per_second(62), per_second(50)),
    Signal.ERRORS_PER_SECOND: Case((*OUTCOMES, *FAILURES), per_second(12), same(0.0)),
    Signal.REJECTED_PER_SECOND: Case((*OUTCOMES, *FAILURES), per_second(5), same(0.0)),
    Signal.LATENCY_SECONDS: histogram_case("trimtab_engine_request_seconds"),
    Signal.QUEUE_SECONDS: histogram_case("trimtab_engine_queue_seconds"),
    Signal.SERVICE_SECONDS: histogram_case("trimtab_engine_batch_seconds"),
    Signal.QUEUE_REQUESTS: Case((engine("queue_requests", 6, counter=False),), scaled(6)),
    Signal.RUNNING_REQUESTS: Case((engine("inflight_requests", 8, counter=False),), scaled(8)),
    Signal.BUSY_RATIO: Case(
        (
            engine("worker_busy_seconds_total", 1.0, device="cuda:0"),
            engine("worker_busy_seconds_total", 0.5, device="cuda:0", model="another"),
            engine("worker_busy_seconds_total", 2.0, device="cuda:1"),
        ),
        lambda factor: factor * ((0.2 + 0.1) + 0.4) / 2,
    ),
    Signal.INPUT_TOKENS: Case(
        (
            engine("batch_tokens_total", 1500, kind="input"),
            engine("batch_tokens_total", 900, kind="padding"),
            engine("batch_size_sum", 60),
        ),
        same(25.0),
    ),
    Signal.BATCH_SIZE: Case((engine("batch_size_sum", 60), engine("batch_size_count", 20)), same(3.0)),
    Signal.CACHE_HIT_RATIO: Case((engine("cache_hits_total", 30), engine("cache_misses_total", 10)), same(0.75)),
    Signal.INPUT_REPEAT_RATIO: Case(
        (engine("sampled_repeats_total", 12), engine("sampled_inputs_total", 40)), same(0.3)
    ),
    Signal.ACCURACY_RATIO: Case(
        (
            engine("accuracy_ratio", 0.995, counter=False, variant="int8", bound="value"),
            engine("accuracy_ratio", 0.99, counter=False, variant="int8", bound="low"),
            engine("accuracy_ratio", 0.999, counter=False, variant="int8", bound="high"),
        ),
        scaled(0.99),
    ),
    Signal.AGENT_UNTRUSTED: Case(
        (
            engine("agent_state", 1, counter=False, state="untrusted"),
            engine("agent_state", 0, counter=False, state="attached"),
        ),
        scaled(1),
    ),
}


def vllm(name: str, value: float, *, counter: bool = True, optional: bool = False, **match: str) -> Feed:
    return Feed(name, shapes(VLLM, name, **match)[0], value, counter, optional)


def http(status: str, increment: float, method: str = "POST", handler: str = "/v1/chat/completions") -> Feed:
    labels = {"method": method, "handler": handler, "status": status}
    return Feed("http_requests_total", labels, increment, optional=True)


FINISHED = (
    vllm("vllm:request_success_total", 40, finished_reason="stop"),
    vllm("vllm:request_success_total", 10, finished_reason="length"),
    vllm("vllm:request_success_total", 3, finished_reason="abort"),
    vllm("vllm:request_success_total", 2, finished_reason="error"),
)
HTTP = (http("2xx", 60), http("4xx", 9), http("5xx", 6), http("2xx", 12, "GET", "/v1/models"))
REJECTIONS = (
    vllm("vllm:admission_rejections_total", 3, optional=True, reason="max_num_queued_reqs"),
    vllm("vllm:admission_rejections_total", 2, optional=True, reason="max_num_queued_tokens"),
)
E2E, HTTP_LATENCY = "vllm:e2e_request_latency_seconds", "http_request_duration_highr_seconds"


def trapped() -> Case:
    """Most requests are faster than the first bucket of vLLM's own histogram: the HTTP histogram answers, if any."""
    own = {**shapes(VLLM, f"{E2E}_bucket")[0]}
    feeds = [Feed(f"{E2E}_bucket", {**own, "le": le}, 20.0) for le in bounds(E2E, file=VLLM)]
    count = {key: value for key, value in own.items() if key != "le"}
    feeds.append(Feed(f"{E2E}_count", count, 20.0))
    finer, increase = histogram(HTTP_LATENCY, VLLM, optional=True)
    return Case(
        (*feeds, *finer),
        lambda factor: {le: value * factor for le, value in increase.items()},
        lambda factor: dict.fromkeys(bounds(E2E, file=VLLM), 20.0 * SCRAPES_IN_WINDOW * factor),
    )


def itl() -> Case:
    """The name of today wins over the older one."""
    today, increase = histogram("vllm:inter_token_latency_seconds", VLLM, optional=True)
    older = tuple(
        Feed("vllm:time_per_output_token_seconds_bucket", {"model_name": "m", "le": le}, 1.0)
        for le in bounds("vllm:inter_token_latency_seconds", file=VLLM)
    )
    return Case(
        (*today, *older),
        lambda factor: {le: value * factor for le, value in increase.items()},
        lambda factor: dict.fromkeys(increase, SCRAPES_IN_WINDOW * factor),
    )


def mean(name: str) -> Case:
    """Twenty observations at each scrape, of three in the mean: whatever the traffic of the pod."""
    return Case((vllm(f"{name}_sum", 60), vllm(f"{name}_count", 20)), same(3.0))


VLLM_CASES: dict[Signal, Case] = {
    Signal.REQUESTS_PER_SECOND: Case((*FINISHED, *HTTP), per_second(66), per_second(52)),
    Signal.ERRORS_PER_SECOND: Case((*FINISHED, *HTTP), per_second(6), per_second(2)),
    Signal.REJECTED_PER_SECOND: Case((*FINISHED, *REJECTIONS), per_second(5), same(0.0)),
    Signal.LATENCY_SECONDS: trapped(),
    Signal.QUEUE_SECONDS: histogram_case("vllm:request_queue_time_seconds", VLLM),
    Signal.SERVICE_SECONDS: histogram_case("vllm:request_inference_time_seconds", VLLM),
    Signal.TIME_TO_FIRST_TOKEN_SECONDS: histogram_case("vllm:time_to_first_token_seconds", VLLM),
    Signal.INTER_TOKEN_LATENCY_SECONDS: itl(),
    Signal.LATENCY_MEAN_SECONDS: mean(E2E),
    Signal.TIME_TO_FIRST_TOKEN_MEAN_SECONDS: mean("vllm:time_to_first_token_seconds"),
    Signal.INTER_TOKEN_LATENCY_MEAN_SECONDS: mean("vllm:inter_token_latency_seconds"),
    Signal.QUEUE_REQUESTS: Case((vllm("vllm:num_requests_waiting", 6, counter=False),), scaled(6)),
    Signal.RUNNING_REQUESTS: Case((vllm("vllm:num_requests_running", 8, counter=False),), scaled(8)),
    Signal.PROMPT_TOKENS_PER_SECOND: Case((vllm("vllm:prompt_tokens_total", 500),), per_second(500)),
    Signal.GENERATED_TOKENS_PER_SECOND: Case((vllm("vllm:generation_tokens_total", 200),), per_second(200)),
    Signal.INPUT_TOKENS: mean("vllm:request_prompt_tokens"),
    Signal.OUTPUT_TOKENS: mean("vllm:request_generation_tokens"),
    Signal.CACHE_HIT_RATIO: Case(
        (vllm("vllm:prefix_cache_hits_total", 30), vllm("vllm:prefix_cache_queries_total", 40)), same(0.75)
    ),
    Signal.KV_CACHE_USED_RATIO: Case(
        (
            vllm("vllm:kv_cache_usage_perc", 0.4, counter=False, optional=True),
            Feed("vllm:gpu_cache_usage_perc", {"engine": "0"}, 0.3, counter=False),
        ),
        scaled(0.4),
        scaled(0.3),
    ),
}


def container(
    name: str, value: float, container_name: str = "server", *, counter: bool = True, optional: bool = False
) -> Feed:
    return Feed(f"trimtab_agent_{name}", {"pod_uid": "u", "container": container_name}, value, counter, optional)


def twice(*feeds: Feed) -> tuple[Feed, ...]:
    """The same series from two agents at once, as while an agent is replaced."""
    again = (
        Feed(feed.name, {**feed.labels, "instance": agent}, feed.value, feed.counter, feed.optional)
        for agent in ("agent-old", "agent-new")
        for feed in feeds
    )
    return tuple(again)


CPU = twice(container("container_cpu_seconds_total", 2.0), container("container_cpu_seconds_total", 0.5, "sidecar"))
MEMORY = twice(
    container("container_memory_working_set_bytes", 1e9, counter=False),
    container("container_memory_working_set_bytes", 2e8, "sidecar", counter=False),
)
CONTAINERS: dict[Signal, Case] = {
    Signal.CPU_USED_CORES: Case(CPU, per_second(2.5)),
    Signal.CPU_LIMIT_CORES: Case(
        (
            *CPU,
            *twice(
                container("container_cpu_limit_cores", 1.0, counter=False),
                container("container_cpu_limit_cores", 0.25, "sidecar", counter=False, optional=True),
            ),
        ),
        scaled(1.25),
    ),
    Signal.CPU_THROTTLED_RATIO: Case(
        twice(container("container_cpu_throttled_periods_total", 5), container("container_cpu_periods_total", 50)),
        same(0.1),
    ),
    Signal.MEMORY_USED_BYTES: Case(MEMORY, scaled(1.2e9)),
    Signal.MEMORY_LIMIT_BYTES: Case(
        (
            *MEMORY,
            *twice(
                container("container_memory_limit_bytes", 2e9, counter=False),
                container("container_memory_limit_bytes", 1e9, "sidecar", counter=False, optional=True),
            ),
        ),
        scaled(3e9),
    ),
    Signal.NETWORK_BYTES_PER_SECOND: Case(
        twice(
            Feed("trimtab_agent_pod_network_receive_bytes_total", {"pod_uid": "u"}, 1000.0),
            Feed("trimtab_agent_pod_network_transmit_bytes_total", {"pod_uid": "u"}, 4000.0),
        ),
        per_second(4000),
    ),
}


def dcgm(name: str, value: float, gpu: Mapping[str, str] = GPU, *, optional: bool = False, scaled: bool = True) -> Feed:
    return Feed(f"DCGM_FI_{name}", gpu, value, counter=False, optional=optional, scaled=scaled)


DCGM: dict[Signal, Case] = {
    Signal.GPU_UTILIZATION_RATIO: Case(
        (
            dcgm("PROF_GR_ENGINE_ACTIVE", 0.2, optional=True),
            dcgm("PROF_GR_ENGINE_ACTIVE", BLANK, SECOND_GPU, optional=True),
            dcgm("DEV_GPU_UTIL", 45.0),
            dcgm("DEV_GPU_UTIL", 25.0, SECOND_GPU),
        ),
        scaled(0.2),
        scaled(0.35),
    ),
    Signal.GPU_MEMORY_USED_RATIO: Case(
        (
            dcgm("DEV_FB_USED", 30000.0, scaled=False),
            dcgm("DEV_FB_FREE", 10000.0, scaled=False),
            dcgm("DEV_FB_USED", BLANK, SECOND_GPU),
            dcgm("DEV_FB_FREE", BLANK, SECOND_GPU),
        ),
        same(0.75),
    ),
    Signal.GPU_POWER_WATTS: Case(
        (dcgm("DEV_POWER_USAGE", 150.0), dcgm("DEV_POWER_USAGE", 100.0, SECOND_GPU)), scaled(250.0)
    ),
    Signal.GPU_DRAM_ACTIVE_RATIO: Case(
        (dcgm("PROF_DRAM_ACTIVE", 0.2), dcgm("PROF_DRAM_ACTIVE", 0.4, SECOND_GPU)), scaled(0.3)
    ),
    Signal.GPU_TENSOR_ACTIVE_RATIO: Case(
        (dcgm("PROF_PIPE_TENSOR_ACTIVE", 0.1), dcgm("PROF_PIPE_TENSOR_ACTIVE", BLANK, SECOND_GPU)), scaled(0.1)
    ),
    Signal.GPU_THROTTLED: Case(
        (
            dcgm("DEV_CLOCKS_EVENT_REASONS", 1.0 + 16.0, optional=True, scaled=False),
            dcgm("DEV_CLOCKS_EVENT_REASONS", 4.0, SECOND_GPU, optional=True, scaled=False),
            dcgm("DEV_CLOCK_THROTTLE_REASONS", 1.0 + 2.0 + 16.0 + 256.0, scaled=False),
            dcgm("DEV_CLOCK_THROTTLE_REASONS", BLANK, SECOND_GPU, scaled=False),
        ),
        same(1.0),
        same(0.0),
    ),
}


def gpu(name: str, value: float, index: int, *, counter: bool = False, **labels: str) -> Feed:
    """A series of a GPU, as one agent reports it; each pod of a case has its own two GPUs."""
    return Feed(f"trimtab_agent_gpu_{name}", {"gpu": str(index), **AGENT, **labels}, value, counter, own_pod=False)


def assigned(index: int) -> Feed:
    labels = {"gpu": str(index), "container": "server", "simulated": "false"}
    return Feed("trimtab_agent_gpu_assigned", labels, 1.0, counter=False, scaled=False)


def of_two_gpus(name: str, first: float, second: float, **labels: str) -> tuple[Feed, ...]:
    return (
        assigned(0),
        assigned(1),
        *(gpu(name, value, index, **labels) for index, value in enumerate((first, second))),
        gpu(name, first, 0, instance="a-second-agent", **labels),
    )


AGENT_GPU: dict[Signal, Case] = {
    Signal.GPU_UTILIZATION_RATIO: Case(of_two_gpus("utilization_ratio", 0.2, 0.4), scaled(0.3)),
    Signal.GPU_MEMORY_USED_RATIO: Case(
        (
            *of_two_gpus("memory_used_bytes", 2e10, 3e10),
            gpu("memory_total_bytes", 8e10, 0),
            gpu("memory_total_bytes", 8e10, 1),
        ),
        same(3 / 8),
    ),
    Signal.GPU_POWER_WATTS: Case(of_two_gpus("power_watts", 150.0, 100.0), scaled(250.0)),
    Signal.GPU_DRAM_ACTIVE_RATIO: Case(of_two_gpus("dram_active_ratio", 0.2, 0.4), scaled(0.3)),
    Signal.GPU_TENSOR_ACTIVE_RATIO: Case(of_two_gpus("tensor_active_ratio", 0.2, 0.4), scaled(0.3)),
    Signal.GPU_THROTTLED: Case(
        (
            assigned(0),
            Feed("trimtab_agent_gpu_throttled", {"gpu": "0", **AGENT, "reason": "thermal"}, 0.0, False, own_pod=False),
            Feed(
                "trimtab_agent_gpu_throttled",
                {"gpu": "0", **AGENT, "reason": "power_cap"},
                1.0,
                counter=False,
                scaled=False,
                own_pod=False,
            ),
        ),
        same(1.0),
    ),
}

TABLES: dict[str, dict[Signal, Case]] = {
    "trimtab": TRIMTAB,
    "vllm": VLLM_CASES,
    "containers": CONTAINERS,
    "dcgm": DCGM,
    "agent": AGENT_GPU,
}


def each_gpu(*values: float) -> Callable[[float], dict[str, float]]:
    return lambda factor: {str(number): value * factor for number, value in enumerate(values)}


BY_GPU: dict[tuple[str, Signal, str], Callable[[float], dict[str, float]]] = {
    ("dcgm", Signal.GPU_UTILIZATION_RATIO, "present"): each_gpu(0.2),
    ("dcgm", Signal.GPU_UTILIZATION_RATIO, "absent"): each_gpu(0.45, 0.25),
    ("dcgm", Signal.GPU_DRAM_ACTIVE_RATIO, "present"): each_gpu(0.2, 0.4),
    ("dcgm", Signal.GPU_TENSOR_ACTIVE_RATIO, "present"): each_gpu(0.1),
    ("dcgm", Signal.GPU_THROTTLED, "present"): lambda _: {"0": 0.0, "1": 1.0},
    ("dcgm", Signal.GPU_THROTTLED, "absent"): each_gpu(0.0),
    ("agent", Signal.GPU_UTILIZATION_RATIO, "present"): each_gpu(0.2, 0.4),
    ("agent", Signal.GPU_DRAM_ACTIVE_RATIO, "present"): each_gpu(0.2, 0.4),
    ("agent", Signal.GPU_TENSOR_ACTIVE_RATIO, "present"): each_gpu(0.2, 0.4),
    ("agent", Signal.GPU_THROTTLED, "present"): lambda _: {"0": 1.0},
}
"""What is told of each GPU, by its number; a blank is no answer, and an older field never fills one up."""


def close(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-9)
