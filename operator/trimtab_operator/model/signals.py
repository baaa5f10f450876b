"""Names and states of what is measured. No data is not zero: each state is a value of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from statistics import median
from typing import Literal

Source = Literal["engine", "agent", "dcgm"]
"""Who exports a series: the serving engine, the node agent, or NVIDIA's exporter."""
GpuSource = Literal["dcgm", "agent", "none"]
"""Which of them tells of a target's GPUs."""
LARGEST = 1e15  # bytes, requests, watts: beyond that a sample is a mistake


class Signal(StrEnum):
    """A canonical signal; the runtime tables say by which PromQL each is read. Units in the name."""

    REQUESTS_PER_SECOND = "requests_per_second"  # offered: answered, refused and failed
    ERRORS_PER_SECOND = "errors_per_second"  # failed or refused by the server, not the client's mistakes
    REJECTED_PER_SECOND = "rejected_per_second"  # refused because the queue was full
    LATENCY_SECONDS = "latency_seconds"  # histogram, whole request at the pod
    QUEUE_SECONDS = "queue_seconds"  # histogram, time in the queue
    SERVICE_SECONDS = "service_seconds"  # histogram, request without its time in the queue (one model pass)
    TIME_TO_FIRST_TOKEN_SECONDS = "time_to_first_token_seconds"  # noqa: S105 - a metric, not a secret; histogram
    INTER_TOKEN_LATENCY_SECONDS = "inter_token_latency_seconds"  # noqa: S105 - the same; histogram
    LATENCY_MEAN_SECONDS = "latency_mean_seconds"
    TIME_TO_FIRST_TOKEN_MEAN_SECONDS = "time_to_first_token_mean_seconds"  # noqa: S105 - a metric, not a secret
    INTER_TOKEN_LATENCY_MEAN_SECONDS = "inter_token_latency_mean_seconds"  # noqa: S105 - the same
    QUEUE_REQUESTS = "queue_requests"
    RUNNING_REQUESTS = "running_requests"
    PROMPT_TOKENS_PER_SECOND = "prompt_tokens_per_second"
    GENERATED_TOKENS_PER_SECOND = "generated_tokens_per_second"
    BUSY_RATIO = "busy_ratio"  # share of wall time in which the device's worker ran a batch
    INPUT_TOKENS = "input_tokens"  # mean tokens of an input that a model was run on
    OUTPUT_TOKENS = "output_tokens"  # mean tokens that were generated for a request
    BATCH_SIZE = "batch_size"  # mean items in a batch
    CACHE_HIT_RATIO = "cache_hit_ratio"
    ACCURACY_RATIO = "accuracy_ratio"  # agreement with the unmodified model, lower end of its interval
    INPUT_REPEAT_RATIO = "input_repeat_ratio"  # share of inputs that were seen before, whether a cache is on or not
    AGENT_UNTRUSTED = "agent_untrusted"  # 1 while the engine does not trust the certificate of its node's agent
    KV_CACHE_USED_RATIO = "kv_cache_used_ratio"
    CPU_USED_CORES = "cpu_used_cores"
    CPU_LIMIT_CORES = "cpu_limit_cores"
    CPU_THROTTLED_RATIO = "cpu_throttled_ratio"  # throttled periods ÷ periods
    MEMORY_USED_BYTES = "memory_used_bytes"
    MEMORY_LIMIT_BYTES = "memory_limit_bytes"
    NETWORK_BYTES_PER_SECOND = "network_bytes_per_second"  # the busier of the two directions
    GPU_UTILIZATION_RATIO = "gpu_utilization_ratio"
    GPU_MEMORY_USED_RATIO = "gpu_memory_used_ratio"
    GPU_POWER_WATTS = "gpu_power_watts"
    GPU_DRAM_ACTIVE_RATIO = "gpu_dram_active_ratio"  # share of cycles in which GPU memory moved data
    GPU_TENSOR_ACTIVE_RATIO = "gpu_tensor_active_ratio"  # share of cycles in which the tensor pipes worked
    GPU_THROTTLED = "gpu_throttled"  # 0 to 1: share of the window in which power or heat held the clocks down


class SignalState(StrEnum):
    """What is known of a signal at one instant."""

    OK = "Ok"
    NO_DATA = "NoData"
    STALE = "Stale"
    PARTIAL = "Partial"  # some pods that should answer did not, or Prometheus warned of a partial response
    ERROR = "Error"


@dataclass(frozen=True)
class Reading:
    """One signal of one target at one instant, by pod.

    `by_pod` holds the pods that answered, in the unit of the signal's name, and may be non-empty when the state is
    PARTIAL. `query` is the PromQL that was run; `at` is the newest sample's time (unix seconds), None without data.
    """

    signal: Signal
    state: SignalState
    query: str
    window_seconds: float
    at: float | None = None
    by_pod: dict[str, float] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class GpuReading:
    """One signal of each GPU of the pods that have several, at one instant; the values are in the order of numbers.

    `query` and `at` are as those of a Reading. A GPU that did not answer is not there.
    """

    signal: Signal
    query: str
    window_seconds: float
    at: float | None = None
    by_pod: dict[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Buckets:
    """A classic histogram's increase over a window: cumulative counts (requests) by upper bound (seconds, last inf)."""

    bounds_seconds: tuple[float, ...]
    cumulative: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """One histogram signal of one target over `window_seconds`, by pod."""

    signal: Signal
    state: SignalState
    query: str
    window_seconds: float
    at: float | None = None
    by_pod: dict[str, Buckets] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Point:
    """One instant of a series: unix seconds, and the signal's value over the `pods` of the target that had one.

    0 pods: their number is not known.
    """

    at: float
    value: float
    pods: int = 0


@dataclass(frozen=True)
class Series:
    """One signal over the lookback, combined over the target's pods as its nature says. `points` in order of time."""

    signal: Signal
    state: SignalState
    query: str
    points: tuple[Point, ...] = ()
    message: str = ""

    @cached_property
    def known(self) -> tuple[Point, ...]:
        """The points that can be reckoned with: a sample beyond LARGEST, or NaN, is a mistake and no point.

        None of a series that failed.
        """
        if self.state not in (SignalState.OK, SignalState.PARTIAL):
            return ()
        return tuple([point for point in self.points if -LARGEST <= point.value <= LARGEST])

    @cached_property
    def spacing_seconds(self) -> float | None:
        """The usual distance of two of these points; None below two."""
        return spacing_seconds(self.known)


def spacing_seconds(points: Sequence[Point]) -> float | None:
    """Return the usual distance of two points, in order of time; None below two points."""
    if len(points) < 2:
        return None
    return median([later.at - earlier.at for earlier, later in pairwise(points)])
