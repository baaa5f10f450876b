"""The second act's manifests with their placeholders filled in. Pure but for reading files."""

from __future__ import annotations

from dev.demo import plan as names
from dev.demo.manifests import filled, without_gpus
from dev.demo.plan import DemoPlan
from dev.demo.tuning.plan import TUNED, Bounds, Start, TuningPlan


def tuned_workload(
    demo: DemoPlan, tuning: TuningPlan, engine_image: str, start: Start, namespace: str = names.NAMESPACE
) -> str:
    """Return namespace, Deployment and Service of engines that are attached to the agents of their nodes."""
    text = filled(
        "tuned-workload.yaml",
        NAMESPACE=namespace,
        SYSTEM_NAMESPACE=names.SYSTEM_NAMESPACE,
        TUNED=TUNED,
        REPLICAS=str(tuning.replicas),
        ENGINE_IMAGE=engine_image,
        MODEL_NAME=names.MODEL_NAME,
        MAX_BATCH_SIZE=f'"{start.max_batch_size}"',
        MAX_QUEUE_DELAY=start.max_queue_delay,
        CACHE_BYTES=f'"{start.cache_bytes}"',
        QUEUE_LIMIT=f'"{tuning.queue_limit}"',
        CPU=f"{demo.cpu_millicores}m",
        GPUS=f'"{demo.gpus}"',
    )
    return text if demo.gpus else without_gpus(text)


def tuning_policy(demo: DemoPlan, bounds: Bounds) -> str:
    """Return the policy that tunes them within these bounds."""
    knobs, accuracy = [], ""
    if bounds.max_batch_size is not None:
        size, delay = bounds.max_batch_size, bounds.max_queue_delay
        knobs.append(f"batching: {{maxBatchSize: {{min: 1, max: {size}}}, maxQueueDelay: {{max: {delay}}}}}")
    if bounds.cache is not None:
        knobs.append(f"cache: {{memory: {{max: {bounds.cache}}}}}")
    if bounds.quality is not None:
        knobs.append(f"quantization: {{allowed: [{bounds.quality.format}]}}")
        accuracy = f'\n    accuracyRatio: {{min: "{bounds.quality.min_accuracy}"}}'
    return filled(
        "tuning-policy.yaml",
        TUNED=TUNED,
        OBJECTIVE=f"{demo.objective_seconds * 1000:.0f}ms",
        KNOBS="\n    ".join(knobs),
        ACCURACY=accuracy,
        MAX_TRIALS=str(bounds.max_trials),
        INTERVAL=demo.interval,
        WINDOW=demo.window,
        PER_GPU_HOUR=f"{demo.prices.per_gpu_hour:.2f}",
        PER_CPU_HOUR=f"{demo.prices.per_cpu_hour:.2f}",
    )
