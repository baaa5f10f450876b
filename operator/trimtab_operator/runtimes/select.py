"""Which runtime a container runs, and which queries read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trimtab_operator.model.signals import GpuSource, Signal
from trimtab_operator.runtimes.containers import CONTAINER_QUERIES
from trimtab_operator.runtimes.gpu import GPU_QUERIES
from trimtab_operator.runtimes.rows import percentile
from trimtab_operator.runtimes.table import Detection, Query, Runtime
from trimtab_operator.runtimes.trimtab import TRIMTAB
from trimtab_operator.runtimes.vllm import VLLM

RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in (TRIMTAB, VLLM)}
UNKNOWN = "unknown"


def detect_runtime(container: Mapping[str, Any]) -> str:
    """Name of the runtime of a container (as JSON of the pod template), or `unknown`.

    The command wins over the image (images carry several engines), the image over the environment. Two runtimes with
    evidence of the same rank are no clear winner: unknown.
    """
    for rank in (_by_command, _by_image, _by_environment):
        found = [runtime.name for runtime in RUNTIMES.values() if rank(container, runtime.detect)]
        if found:
            return found[0] if len(found) == 1 else UNKNOWN
    return UNKNOWN


def queries_for(runtime: str, gpu_source: GpuSource) -> tuple[Query, ...]:
    """Every query that reads a target of this runtime; an unknown runtime has only container and GPU queries."""
    engine = tuple(RUNTIMES[runtime].queries.values()) if runtime in RUNTIMES else ()
    return engine + CONTAINER_QUERIES + GPU_QUERIES[gpu_source]


def history_queries_for(runtime: str, gpu_source: GpuSource) -> tuple[Query, ...]:
    """Every query whose series over the lookback the analysis reads: all but the histograms."""
    return tuple(query for query in queries_for(runtime, gpu_source) if query.kind != "histogram")


TRENDED = frozenset(
    {
        Signal.REQUESTS_PER_SECOND,
        Signal.ERRORS_PER_SECOND,
        Signal.CACHE_HIT_RATIO,
        Signal.ACCURACY_RATIO,
        Signal.CPU_USED_CORES,
        Signal.CPU_LIMIT_CORES,
        Signal.MEMORY_USED_BYTES,
        Signal.MEMORY_LIMIT_BYTES,
        Signal.GPU_UTILIZATION_RATIO,
        Signal.GPU_MEMORY_USED_RATIO,
        Signal.GPU_POWER_WATTS,
    }
)
"""Signals that trends rest on; the percentiles of histograms come on top."""


def trend_queries_for(runtime: str, gpu_source: GpuSource, percentiles: Mapping[Signal, int]) -> tuple[Query, ...]:
    """Every query whose series over days the trends read: signals, and these percentiles (50 to 99) of histograms."""
    queries = queries_for(runtime, gpu_source)
    plain = tuple(query for query in queries if query.signal in TRENDED)
    return plain + tuple(
        percentile(query, percentiles[query.signal]) for query in queries if query.signal in percentiles
    )


def _by_command(container: Mapping[str, Any], detect: Detection) -> bool:
    words = " ".join([*(container.get("command") or ()), *(container.get("args") or ())]).lower()
    return any(fragment in words for fragment in detect.commands)


def _by_image(container: Mapping[str, Any], detect: Detection) -> bool:
    image = str(container.get("image") or "").lower().partition("@")[0]
    path, _, last = image.rpartition("/")
    repository = f"{path}/{last.partition(':')[0]}"
    return any(repository.endswith(fragment) or f"{fragment}-" in repository for fragment in detect.images)


def _by_environment(container: Mapping[str, Any], detect: Detection) -> bool:
    names = [str(variable.get("name", "")) for variable in container.get("env") or ()]
    return any(name.startswith(detect.env_prefixes) for name in names)
