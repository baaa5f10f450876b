"""What the planner's two loops decide for engines that both read prompts and decode (`agg`), aimed at objectives."""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import random
from dataclasses import asdict, astuple, dataclass

from dynamo.common.forward_pass_metrics import ForwardPassMetrics
from dynamo.planner.config.planner_config import PlannerConfig
from dynamo.planner.core.state_machine import PlannerScalingState
from dynamo.planner.core.types import (
    EngineCapabilities,
    FpmObservations,
    TrafficObservation,
    WorkerCapabilities,
    WorkerCounts,
)

from dev.rivals.dynamo import forward_pass
from dev.rivals.dynamo.engines import Engine, Workload, mean_pass, metrics_of, random_engines, random_workload

UNLIMITED = -1


@dataclass(frozen=True)
class Limits:
    """Of one engine, and of the planner."""

    max_batched_tokens: int
    max_sequences: int
    max_kv_tokens: int
    min_replicas: int
    max_change_replicas: int
    down_sensitivity_ratio: float


@dataclass(frozen=True)
class Look:
    """One tick. `expected` is what the deployment asks for; of it, `starting` are known to be on their way."""

    ready: int
    expected: int
    starting: int
    engines: list[Engine]
    demand: tuple[float, float, float] | None
    """Requests per second, and tokens in and out, that the next interval is expected to bring."""


def plans(generator: random.Random, name: str, ticks: int) -> dict[str, object]:
    """Return one planner over some ticks: the slow loop's least count is kept from tick to tick."""
    workload, limits = random_workload(generator), random_limits(generator)
    forward_pass.law = workload.law
    state = planner(workload, limits)
    ready = generator.randint(1, 6)
    looks, said = [], []
    for _ in range(ticks):
        looks.append(random_look(generator, workload, ready))
        said.append(tick(state, looks[-1], limits))
        ready = max(1, min(8, looks[-1].expected + generator.choice((-1, 0, 1))))
    return {
        "name": name,
        "workload": asdict(workload),
        "limits": asdict(limits),
        **{key: [getattr(look, key) for look in looks] for key in ("ready", "expected", "starting", "demand")},
        "engines": [[astuple(engine) for engine in look.engines] for look in looks],
        **{key: [answer[key] for answer in said] for key in said[0]},
    }


def random_limits(generator: random.Random) -> Limits:
    """Return limits that bind at times."""
    return Limits(
        max_batched_tokens=generator.choice((2048, 8192, 1_000_000)),
        max_sequences=generator.choice((64, 256)),
        max_kv_tokens=generator.choice((60_000, 200_000, 1_000_000)),
        min_replicas=generator.choice((1, 1, 2)),
        max_change_replicas=generator.choice((8, 8, 2)),
        down_sensitivity_ratio=generator.choice((0.8, 0.8, 0.5, 1.0)),
    )


def random_look(generator: random.Random, workload: Workload, ready: int) -> Look:
    """Return a tick: now and then a change is under way, an engine is silent, or the slow loop has its turn."""
    case = generator.random()
    starting = generator.randint(1, 2) if case < 0.1 else 0
    expected = ready + starting + (generator.choice((-1, 1)) if 0.1 <= case < 0.17 else 0)
    engines = random_engines(generator, workload, ready - (1 if 0.17 <= case < 0.22 else 0))
    demand = None
    if generator.random() < 0.3:
        rps = round(generator.choice((0.5, 2.0, 10.0, 40.0)) * generator.random(), 2)
        demand = (
            rps,
            float(workload.prompt_tokens),
            float(round(workload.context_tokens * generator.uniform(0.1, 0.6))),
        )
    return Look(ready, expected, starting, engines, demand)


def planner(workload: Workload, limits: Limits) -> PlannerScalingState:
    """Return the planner's state machine, which has seen one pass."""
    config = PlannerConfig(
        mode="agg",
        backend="vllm",
        optimization_target="sla",
        enable_load_scaling=True,
        enable_throughput_scaling=True,
        ttft_ms=1000 * workload.ttft_seconds,
        itl_ms=1000 * workload.itl_seconds,
        min_endpoint=limits.min_replicas,
        max_throughput_scaling_replicas=limits.max_change_replicas,
        load_scaling_down_sensitivity=round(100 * limits.down_sensitivity_ratio),
        min_gpu_budget=UNLIMITED,
        max_gpu_budget=UNLIMITED,
    )
    engine = EngineCapabilities(
        num_gpu=1,
        max_num_batched_tokens=limits.max_batched_tokens,
        max_num_seqs=limits.max_sequences,
        max_kv_tokens=limits.max_kv_tokens,
    )
    state = PlannerScalingState(config, WorkerCapabilities(decode=engine))
    state.observe_fpm(FpmObservations(decode={("mean", 0): mean_pass(workload)}))
    return state


def tick(state: PlannerScalingState, look: Look, limits: Limits) -> dict[str, object]:
    """Return what the slow loop, where it has its turn, and then the fast loop decide, and the fast one's estimates."""
    state.begin_tick()
    state.observe_worker_counts(
        WorkerCounts(ready_num_decode=look.ready, expected_num_decode=look.expected, pending_num_decode=look.starting)
    )
    if look.demand is not None:
        rps, prompt_tokens, output_tokens = look.demand
        state.advance_throughput_from_prediction(
            TrafficObservation(1.0, rps, prompt_tokens, output_tokens),
            predicted_num_req=rps,
            predicted_isl=prompt_tokens,
            predicted_osl=output_tokens,
            predicted_kv_hit_rate=None,
        )
    names = [f"worker-{number}" for number in range(len(look.engines))]
    metrics = {(name, 0): metrics_of(engine, name) for name, engine in zip(names, look.engines, strict=True)}
    decision = state.advance_load(FpmObservations(decode=metrics))
    diagnostics = state.diagnostics()
    return {
        "engine_rps": diagnostics.engine_rps_decode,
        "least_replicas": diagnostics.throughput_lower_bound_decode,
        "estimates_seconds": estimates(state, metrics, look.ready, limits),
        "desired_replicas": decision.num_decode if decision else None,
        "reason": diagnostics.load_decision_reason,
    }


def estimates(
    state: PlannerScalingState, metrics: dict[tuple[str, int], ForwardPassMetrics], ready: int, limits: Limits
) -> list[list[float]]:
    """Return, of each engine, TTFT now, then alone and in all with one engine fewer; ITL now and with one fewer."""
    share = ready / (ready - 1) if ready > 1 else 1.0
    model, found = state.agg_regression, []
    for _, group in model.query_groups(metrics):
        tokens = {"max_num_batched_tokens": limits.max_batched_tokens}
        fewer = {"decode_scale": share, "include_queued_decode": True}
        seconds = (
            model.estimate_queued_prefill_time(group, **tokens),
            model.estimate_queued_prefill_time(group, queue_scale=0.0, **tokens, **fewer),
            model.estimate_queued_prefill_time(group, queue_scale=share, **tokens, **fewer),
            model.estimate_scheduled_decode_itl(group, include_queued_decode=True),
            model.estimate_scheduled_decode_itl(group, include_queued_prefill_as_kv=True, **fewer),
        )
        found.append([round(each, 9) for each in seconds])
    return found
