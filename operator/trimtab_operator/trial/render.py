"""Findings of the analysis as status shows them. A state's `since` is kept as long as the state is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from trimtab_api import findings
from trimtab_api.findings import Measure, ObjectiveState, SavingReference, ScoreState
from trimtab_api.policy import OptimizationPolicy
from trimtab_operator.analysis.load import cost_per_hour
from trimtab_operator.model.analysis import (
    Attainment,
    Baseline,
    Bottleneck,
    Constraint,
    Evidence,
    ObjectiveResult,
    ScorecardRow,
    Stage,
)
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.trial import texts

_SCORES = {
    Attainment.MET: ScoreState.MET,
    Attainment.VIOLATED: ScoreState.MISSED,
    Attainment.NOT_MEASURED: ScoreState.NOT_MEASURED,
}


def evidence(facts: Iterable[Evidence]) -> tuple[findings.Evidence, ...]:
    """Show at most eight facts."""
    return tuple(
        findings.Evidence(
            signal=fact.signal,
            query=fact.query[: texts.QUERY],
            value=texts.decimal(fact.value, 4),
            unit=fact.unit,
            at=texts.when(fact.at),
            samples=texts.count(fact.samples),
        )
        for fact in tuple(facts)[:8]
    )


def objectives(
    results: Iterable[ObjectiveResult], policy: OptimizationPolicy, now: datetime
) -> tuple[findings.ObjectiveResult, ...]:
    """Show the policy's objectives."""
    before = {result.name: result for result in policy.status.objectives}
    currency = _currency(policy)
    shown: list[findings.ObjectiveResult] = []
    for result in results:
        state, standing = ObjectiveState(result.attainment.value), before.get(result.name)
        unit = texts.unit_of(result.name)
        shown.append(
            findings.ObjectiveResult(
                name=result.name,
                value=None if result.value is None else texts.with_unit(result.value, unit, currency),
                limit=texts.with_unit(result.limit, unit, currency),
                met=state,
                reason=result.reason[: texts.SENTENCE],
                samples=texts.count(result.samples),
                since=standing.since if standing and standing.met is state else now,
            )
        )
    return tuple(shown)


def scorecard(
    rows: Iterable[ScorecardRow], policy: OptimizationPolicy, now: datetime
) -> tuple[findings.ScorecardRow, ...]:
    """Show the scorecard."""
    before = {row.measure: row for row in policy.status.scorecard}
    currency = _currency(policy)
    shown: list[findings.ScorecardRow] = []
    for row in rows:
        state, standing = _SCORES[row.attainment], before.get(row.measure)
        reference = "trend" if row.reference is None else texts.with_unit(row.reference, row.unit, currency)
        shown.append(
            findings.ScorecardRow(
                measure=row.measure,
                value=None if row.value is None else texts.with_unit(row.value, row.unit, currency),
                reference=reference,
                state=state,
                reason=row.reason[: texts.SENTENCE],
                samples=texts.count(row.samples),
                since=standing.since if standing and standing.state is state else now,
            )
        )
    return tuple(shown)


def _currency(policy: OptimizationPolicy) -> str:
    return policy.spec.cost.currency if policy.spec.cost else ""


def bottleneck(found: Bottleneck | None, policy: OptimizationPolicy, now: datetime) -> findings.Bottleneck | None:
    """Show the bottleneck, its evidence aside; nothing while it is not known."""
    if found is None:
        return None
    kind, standing = found.kind, policy.status.bottleneck
    return findings.Bottleneck(
        kind=kind,
        confidence=texts.share(found.confidence),
        parts=tuple(findings.LayerPart(kind=layers, time_ratio=texts.share(share)) for layers, share in found.parts),
        stage=_stage(found.stage),
        runner_up=found.runner_up,
        since=standing.since if standing and standing.kind is kind else now,
    )


def _stage(found: Stage | None) -> findings.Stage | None:
    if found is None:
        return None
    active, others = (texts.share(each) for each in (found.active_ratio, found.others_ratio))
    return findings.Stage(name=found.name, active_ratio=active, others_ratio=others)


def constraints(found: Iterable[Constraint]) -> tuple[findings.Constraint, ...]:
    """Show the constraints."""
    return tuple(findings.Constraint(name=each.name, reason=each.reason[: texts.SENTENCE]) for each in found)


def baseline(found: Baseline, snapshot: Snapshot, policy: OptimizationPolicy) -> findings.Baseline:
    """Show the baseline; what was not measured is absent."""
    now = texts.when(found.end)
    values = {row.measure: row.value for row in found.rows}
    means, hourly = found.means, cost_per_hour(snapshot, policy)
    cost = values.get(Measure.COST_PER_REQUEST)
    return findings.Baseline(
        from_=texts.when(found.start),
        to=now,
        requests=texts.count(found.requests),
        samples=found.samples,
        replicas=None if isinstance(snapshot.target, TargetProblem) else texts.decimal(snapshot.target.replicas),
        requests_per_second=_decimal(means.get(Signal.REQUESTS_PER_SECOND)),
        gpu_utilization_ratio=_share(means.get(Signal.GPU_UTILIZATION_RATIO)),
        cpu_utilization_ratio=_share(_ratio(means, Signal.CPU_USED_CORES, Signal.CPU_LIMIT_CORES)),
        gpu_memory_ratio=_share(means.get(Signal.GPU_MEMORY_USED_RATIO)),
        cache_hit_ratio=_share(means.get(Signal.CACHE_HIT_RATIO)),
        input_tokens=_decimal(found.lengths.get(Signal.INPUT_TOKENS)),
        output_tokens=_decimal(found.lengths.get(Signal.OUTPUT_TOKENS)),
        joules_per_request=_decimal(values.get(Measure.ENERGY_PER_REQUEST)),
        cost_per_hour=_decimal(hourly),
        cost_per_thousand_requests=_decimal(None if cost is None else cost * 1000.0),
        objectives=objectives(found.objectives, policy, now),
        peaks=tuple(
            findings.Peak(signal=peak.signal, value=texts.decimal(peak.value), unit=peak.unit, at=texts.when(peak.at))
            for peak in found.peaks
        ),
    )


def _ratio(means: dict[Signal, float], used: Signal, limit: Signal) -> float | None:
    return means[used] / means[limit] if used in means and means.get(limit) else None


def _share(value: float | None) -> str | None:
    return None if value is None else texts.share(value)


def _decimal(value: float | None) -> str | None:
    return None if value is None else texts.decimal(value)


def saving(snapshot: Snapshot, policy: OptimizationPolicy, now: datetime) -> findings.Saving | None:
    """Show what is saved against a fixed spec.scaling.maxReplicas, by the prices of spec.cost.

    Not known without prices, without scaling, or while the target or its pods are not known.
    """
    scaling = policy.spec.scaling
    cost = cost_per_hour(snapshot, policy)
    most = cost_per_hour(snapshot, policy, scaling.max_replicas) if scaling else None
    if cost is None or not most:
        return None
    standing = policy.status.saving
    return findings.Saving(
        ratio=texts.decimal(1.0 - cost / most),
        against=SavingReference.MAX_REPLICAS,
        since=standing.since if standing else now,
    )
