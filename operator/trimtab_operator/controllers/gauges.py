"""A tick as the gauges of its policy. What was not measured has no series: absent is not zero."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from trimtab_api.findings import BottleneckKind
from trimtab_operator.controllers.world import Tick
from trimtab_operator.model.analysis import Attainment, ObjectiveResult
from trimtab_operator.model.signals import Signal, SignalState

Gauge = tuple[str, tuple[str, ...], float]
"""(metric, labels beyond namespace and policy, value)"""


def policy_gauges(tick: Tick, status: Mapping[str, Any]) -> Iterator[Gauge]:
    """Every gauge of one policy, from the tick and its status (as stored after it)."""
    yield from _replicas(status)
    analysis = tick.analysis
    yield "trimtab_policy_metrics_trusted", (), 1.0 if analysis.trust.trusted else 0.0
    yield "trimtab_policy_inert", (), 1.0 if analysis.trust.reason == "Inert" else 0.0
    for result in analysis.objectives:
        if result.value is not None:
            yield "trimtab_policy_objective_value", (result.name,), result.value
        if result.attainment is not Attainment.NOT_MEASURED:
            met = result.attainment is Attainment.MET
            yield "trimtab_policy_objective_met", (result.name,), 1.0 if met else 0.0
            if result.name == "costPerThousandRequests" and result.value is not None:
                yield "trimtab_policy_cost_per_thousand_requests", (), result.value
        yield from _outlook(result)
    if analysis.bottleneck is not None:
        for kind in BottleneckKind:
            yield "trimtab_policy_bottleneck", (kind.value,), 1.0 if kind is analysis.bottleneck.kind else 0.0
    agent = tick.snapshot.readings.get(Signal.CPU_USED_CORES)
    if agent is not None:
        connected = agent.state in {SignalState.OK, SignalState.PARTIAL}
        yield "trimtab_policy_agent_connected", (), 1.0 if connected else 0.0


def _outlook(result: ObjectiveResult) -> Iterator[Gauge]:
    rates = (("5m", result.burn.short), ("1h", result.burn.long)) if result.burn else ()
    for window, rate in rates:
        if rate is not None:
            yield "trimtab_policy_objective_burn_rate", (result.name, window), rate
    if result.miss is not None:
        yield "trimtab_policy_objective_miss_timestamp_seconds", (result.name,), result.miss.at


def _replicas(status: Mapping[str, Any]) -> Iterator[Gauge]:
    replicas = status.get("replicas") or {}
    for kind in ("current", "desired", "uncapped"):
        if replicas.get(kind) is not None:
            yield "trimtab_policy_replicas", (kind,), float(replicas[kind])
