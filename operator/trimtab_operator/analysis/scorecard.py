"""The scorecard: the same rows for every policy, each a value or the reason why there is none.

A row's reference is the policy's own objective where it has one, else the project's charter. Values are means over the
last five minutes where series reach back so far: a scorecard is read by people, the law reads the newest window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trimtab_api.findings import Measure, ScoreState, TrendSpan
from trimtab_api.objectives import Objectives
from trimtab_api.quantities import parse_decimal, parse_duration_seconds, parse_ratio
from trimtab_operator.analysis import measures, pods
from trimtab_operator.analysis.judgement import judge_value
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.analysis.trends import USUAL_PERCENTILE
from trimtab_operator.model.analysis import Attainment, ScorecardRow
from trimtab_operator.model.past import Past, Quantity, Trends
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.slope import NoSlope
from trimtab_operator.model.snapshot import Snapshot

BAND = 0.10  # a row flips between met and missed only on a change of a tenth of its reference
NO_EFFICIENCY = "needs power samples taken while a batch runs, which no agent reports yet"


@dataclass(frozen=True)
class Row:
    """How a row is measured and judged; `reference` is the charter's, replaced by `own(objectives)` where given."""

    measure: Measure
    unit: str
    at_most: bool
    reference: float | None
    take: Callable[[Seen], measures.Measured]
    own: Callable[[Objectives], float | None] = lambda _: None


def scorecard(seen: Seen) -> tuple[ScorecardRow, ...]:
    """Measure every row."""
    return tuple(_judge(row, seen) for row in ROWS)


def _judge(row: Row, seen: Seen) -> ScorecardRow:
    objectives = seen.policy.spec.objectives
    own = row.own(objectives) if objectives else None
    reference = row.reference if own is None else own
    found = row.take(seen)
    attainment = Attainment.NOT_MEASURED
    if found.value is not None:
        attainment = Attainment.MET
        if reference is not None:
            before = _before(seen, row.measure)
            attainment = judge_value(found.value, reference, at_most=row.at_most, band=BAND, before=before)
    return ScorecardRow(
        measure=row.measure,
        attainment=attainment,
        reference=reference,
        unit=row.unit,
        value=found.value,
        reason=found.reason,
        samples=None if found.samples is None else int(found.samples),
        uncertainty_ratio=found.noise,
        trends=_trends(row.measure, seen.snapshot.past),
        errors=_errors_by_reason(seen.snapshot) if row.measure is Measure.ERRORS else (),
    )


def _trends(measure: Measure, past: Past | None) -> Trends:
    if past is None or measure not in QUANTITIES:
        return {}
    if measure is Measure.RESPONSE_TIME_P95 and past.percentiles.get(Signal.LATENCY_SECONDS) != USUAL_PERCENTILE:
        return dict.fromkeys(TrendSpan, NoSlope("the policy's objective is on another percentile"))
    return past.trends[QUANTITIES[measure]]


def _errors_by_reason(snapshot: Snapshot) -> tuple[tuple[str, float], ...]:
    """Return the share of all requests of each kind of errors, largest first."""
    offered = pods.recent(snapshot, Signal.REQUESTS_PER_SECOND)
    if not offered:
        return ()
    rates = sorted(snapshot.error_reasons.items(), key=lambda each: (-each[1], each[0]))
    return tuple((reason, min(1.0, rate / offered)) for reason, rate in rates)


def _before(seen: Seen, measure: Measure) -> Attainment | None:
    for row in seen.policy.status.scorecard:
        if row.measure is measure and row.state is not ScoreState.NOT_MEASURED:
            return Attainment.MET if row.state is ScoreState.MET else Attainment.VIOLATED
    return None


QUANTITIES = {
    Measure.GPU_UTILIZATION: Quantity.GPU_UTILIZATION,
    Measure.GPU_MEMORY: Quantity.GPU_MEMORY,
    Measure.LATENCY_P95: Quantity.SERVICE_TIME,
    Measure.RESPONSE_TIME_P95: Quantity.LATENCY,
    Measure.THROUGHPUT: Quantity.THROUGHPUT,
    Measure.ACCURACY: Quantity.ACCURACY,
    Measure.RESOURCE_UTILIZATION: Quantity.RESOURCE_UTILIZATION,
    Measure.ERRORS: Quantity.ERRORS,
    Measure.CACHE_HITS: Quantity.CACHE_HITS,
    Measure.ENERGY_PER_REQUEST: Quantity.ENERGY,
}
"""What the trend of a row is that of; the other rows have no series."""

ROWS: tuple[Row, ...] = (
    Row(
        Measure.GPU_UTILIZATION,
        "ratio",
        False,
        0.85,
        measures.of_signal(Signal.GPU_UTILIZATION_RATIO),
        lambda own: parse_ratio(own.gpu_utilization_ratio.min) if own.gpu_utilization_ratio else None,
    ),
    Row(
        Measure.GPU_MEMORY,
        "ratio",
        True,
        0.90,
        measures.of_signal(Signal.GPU_MEMORY_USED_RATIO),
        lambda own: parse_ratio(own.gpu_memory_ratio.max) if own.gpu_memory_ratio else None,
    ),
    Row(Measure.LATENCY_P95, "s", True, 0.1, measures.p95(Signal.SERVICE_SECONDS)),
    Row(
        Measure.RESPONSE_TIME_P95,
        "s",
        True,
        0.2,
        measures.p95(Signal.LATENCY_SECONDS),
        lambda own: parse_duration_seconds(own.latency.max) if own.latency and own.latency.percentile == 95 else None,
    ),
    Row(Measure.THROUGHPUT, "requests/h", False, 1000.0, measures.throughput),
    Row(
        Measure.ACCURACY,
        "ratio",
        False,
        0.98,
        measures.accuracy,
        lambda own: parse_ratio(own.accuracy_ratio.min) if own.accuracy_ratio else None,
    ),
    Row(Measure.RESOURCE_UTILIZATION, "ratio", False, 0.85, measures.scarcest),
    Row(
        Measure.ERRORS,
        "ratio",
        True,
        0.01,
        measures.errors,
        lambda own: parse_ratio(own.error_ratio.max) if own.error_ratio else None,
    ),
    Row(
        Measure.SATISFACTION,
        "ratio",
        False,
        0.95,
        measures.satisfaction,
        lambda own: parse_ratio(own.satisfaction_ratio.min) if own.satisfaction_ratio else None,
    ),
    Row(
        Measure.CACHE_HITS,
        "ratio",
        False,
        0.80,
        measures.of_signal(Signal.CACHE_HIT_RATIO),
        lambda own: parse_ratio(own.cache_hit_ratio.min) if own.cache_hit_ratio else None,
    ),
    Row(
        Measure.ENERGY_PER_REQUEST,
        "J",
        True,
        None,
        measures.energy,
        lambda own: parse_decimal(own.joules_per_request.max) if own.joules_per_request else None,
    ),
    Row(
        Measure.COST_PER_REQUEST,
        "currency",
        True,
        0.001,
        measures.cost,
        lambda own: (
            parse_decimal(own.cost_per_thousand_requests.max) / 1000.0 if own.cost_per_thousand_requests else None
        ),
    ),
    Row(Measure.ENERGY_EFFICIENCY, "ratio", False, 0.90, measures.nothing(NO_EFFICIENCY)),
)
