"""Engines at one moment, as the planner is told of them: at, under or over what their objectives allow."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import random
from dataclasses import dataclass

from dynamo.common.forward_pass_metrics import (
    FPM_VERSION,
    ForwardPassMetrics,
    QueuedRequestMetrics,
    ScheduledRequestMetrics,
)

from dev.rivals.dynamo.forward_pass import Law


@dataclass(frozen=True)
class Engine:
    """Requests that decode and wait to be read or to go on, with the tokens that they hold."""

    running: int
    kv_tokens: int
    waiting: int
    waiting_prompt_tokens: int
    preempted: int
    preempted_kv_tokens: int


@dataclass(frozen=True)
class Workload:
    """What the requests are like, what a pass takes, and what is promised."""

    law: Law
    prompt_tokens: int
    context_tokens: int
    ttft_seconds: float
    itl_seconds: float


def random_workload(generator: random.Random) -> Workload:
    """Return a workload whose objectives one engine can meet, most of the time."""
    law = Law(
        base_ms=generator.choice((2.0, 5.0, 12.0)),
        prompt_token_ms=generator.choice((0.005, 0.02, 0.05)),
        request_ms=generator.choice((0.1, 0.3)),
        kv_token_ms=generator.choice((0.0, 0.0, 0.00005)),
    )
    return Workload(
        law=law,
        prompt_tokens=generator.choice((100, 400, 1000)),
        context_tokens=generator.choice((300, 900, 2000)),
        ttft_seconds=generator.choice((0.1, 0.3, 0.5, 1.0)),
        itl_seconds=generator.choice((0.03, 0.05, 0.08)),
    )


def random_engines(generator: random.Random, workload: Workload, count: int) -> list[Engine]:
    """Return so many engines about as busy as each other."""
    level, queue = generator.uniform(0.05, 1.3), generator.choice((0.0, 0.0, 0.0, 0.0, 0.2, 0.6, 1.0, 1.6))
    return [random_engine(generator, workload, level, queue) for _ in range(count)]


def random_engine(generator: random.Random, workload: Workload, level: float, queue: float) -> Engine:
    """Return an engine that takes about `level` of its time per token, and `queue` of its time to the first one."""
    law = workload.law
    request_ms = law.request_ms + law.kv_token_ms * workload.context_tokens
    room_ms = 1000 * workload.itl_seconds - law.base_ms - law.prompt_token_ms * workload.prompt_tokens
    running = max(0, round(room_ms / request_ms * level * generator.uniform(0.85, 1.15)))
    prompt_ms = law.prompt_token_ms * workload.prompt_tokens
    waiting = round(1000 * workload.ttft_seconds / prompt_ms * queue * generator.uniform(0.7, 1.3))
    preempted = generator.choice((0, 0, 0, 1, 5))
    return Engine(
        running=running,
        kv_tokens=running * round(workload.context_tokens * generator.uniform(0.9, 1.1)),
        waiting=waiting,
        waiting_prompt_tokens=waiting * workload.prompt_tokens,
        preempted=preempted,
        preempted_kv_tokens=preempted * workload.context_tokens,
    )


def metrics_of(engine: Engine, worker: str) -> ForwardPassMetrics:
    """Return an engine as the planner is told of it."""
    return ForwardPassMetrics(
        version=FPM_VERSION,
        worker_id=worker,
        scheduled_requests=ScheduledRequestMetrics(
            num_decode_requests=engine.running, sum_decode_kv_tokens=engine.kv_tokens
        ),
        queued_requests=QueuedRequestMetrics(
            num_prefill_requests=engine.waiting,
            sum_prefill_tokens=engine.waiting_prompt_tokens,
            num_decode_requests=engine.preempted,
            sum_decode_kv_tokens=engine.preempted_kv_tokens,
        ),
    )


def mean_pass(workload: Workload) -> ForwardPassMetrics:
    """Return the one pass from which the planner learns what a request is like."""
    return ForwardPassMetrics(
        version=FPM_VERSION,
        wall_time=0.01,
        scheduled_requests=ScheduledRequestMetrics(
            num_prefill_requests=1,
            sum_prefill_tokens=workload.prompt_tokens,
            num_decode_requests=1,
            sum_decode_kv_tokens=workload.context_tokens,
        ),
    )
