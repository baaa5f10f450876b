"""Findings as status shows them: every figure in its place, and nothing where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import NOW, a_policy, a_snapshot, a_target
from fakes.ledger import stamp

from trimtab_api import findings
from trimtab_api.findings import BottleneckKind, Measure
from trimtab_api.objectives import ObjectiveName
from trimtab_operator.model.analysis import (
    Attainment,
    Baseline,
    Bottleneck,
    Constraint,
    Evidence,
    ObjectiveResult,
    Peak,
    ScorecardRow,
    Stage,
)
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem
from trimtab_operator.trial import render
from trimtab_operator.trial.texts import QUERY, SENTENCE, when

LATER = when(NOW)
MONEY: dict[str, Any] = {"cost": {"currency": "EUR", "perGpuHour": "2.50", "perCpuHour": "0.36"}}
PRICE = ObjectiveName.COST_PER_THOUSAND_REQUESTS
COST = ObjectiveResult(PRICE, False, Attainment.MET, 1.0, value=0.5, reason="why", samples=7)


def fact(number: int = 0) -> Evidence:
    return Evidence(Signal.BUSY_RATIO, f"query {number}", 0.98765, "ratio", NOW - 2.0, samples=12)


def test_evidence_has_its_query_value_unit_time_and_samples() -> None:
    shown = {"signal": "busy_ratio", "query": "query 0", "value": "0.9877", "unit": "ratio", "at": stamp(NOW - 2.0)}
    assert render.evidence([fact()]) == (findings.Evidence.model_validate(shown | {"samples": 12}),)


def test_at_most_eight_facts_are_shown_the_first_ones_and_of_a_long_query_what_fits() -> None:
    assert [each.query for each in render.evidence(fact(number) for number in range(12))] == [
        f"query {number}" for number in range(8)
    ]
    long = Evidence(Signal.BUSY_RATIO, "q" * (QUERY + 5), 1.0, "ratio", NOW)
    assert len(render.evidence([long])[0].query) == QUERY


def test_an_objective_is_shown_with_its_figures_and_since_when_it_stands_so() -> None:
    (first,) = render.objectives([COST], a_policy(**MONEY), LATER)
    assert first == findings.ObjectiveResult.model_validate(
        {"name": PRICE, "value": "0.5 EUR", "limit": "1 EUR", "met": "Met", "reason": "why", "samples": 7,
         "since": stamp(NOW)}
    )  # fmt: skip
    stored = a_policy(status={"objectives": [first.to_body()]}, **MONEY)
    (again,) = render.objectives([COST], stored, when(NOW + 60.0))
    assert again.since == first.since
    missed = ObjectiveResult(PRICE, False, Attainment.VIOLATED, 1.0, value=2.0)
    (moved,) = render.objectives([missed], stored, when(NOW + 60.0))
    assert moved.since == when(NOW + 60.0)
    (bare,) = render.objectives([ObjectiveResult(PRICE, False, Attainment.NOT_MEASURED, 1.0)], a_policy(), LATER)
    assert (bare.value, bare.limit, bare.met) == (None, "1 ", "NotMeasured")
    (wordy,) = render.objectives([ObjectiveResult(PRICE, False, Attainment.MET, 1.0, reason="r" * 2000)], stored, LATER)
    assert len(wordy.reason) == SENTENCE


def row(attainment: Attainment, **fields: Any) -> ScorecardRow:
    known: dict[str, Any] = {"reference": 0.001, "unit": "currency", "value": 0.002, "reason": "why", "samples": 7}
    return ScorecardRow(Measure.COST_PER_REQUEST, attainment, **known | fields)


def test_a_row_of_the_scorecard_is_shown_with_its_figures_and_since_when_it_stands_so() -> None:
    (first,) = render.scorecard([row(Attainment.VIOLATED)], a_policy(**MONEY), LATER)
    assert first == findings.ScorecardRow.model_validate(
        {"measure": "CostPerRequest", "value": "0.002 EUR", "reference": "0.001 EUR", "state": "Missed",
         "reason": "why", "samples": 7, "since": stamp(NOW)}
    )  # fmt: skip
    stored = a_policy(status={"scorecard": [first.to_body()]}, **MONEY)
    (again,) = render.scorecard([row(Attainment.VIOLATED)], stored, when(NOW + 60.0))
    assert again.since == first.since
    (moved,) = render.scorecard([row(Attainment.MET)], stored, when(NOW + 60.0))
    assert (moved.state, moved.since) == ("Met", when(NOW + 60.0))
    (bare,) = render.scorecard([row(Attainment.NOT_MEASURED, reference=None, value=None)], a_policy(), LATER)
    assert (bare.value, bare.reference, bare.state) == (None, "trend", "NotMeasured")
    (wordy,) = render.scorecard([row(Attainment.MET, reason="r" * 2000)], stored, LATER)
    assert len(wordy.reason) == SENTENCE


def test_a_bottleneck_is_shown_whole_but_for_its_evidence() -> None:
    stage = Stage((1,), 0.951, 0.502)
    parts = (("Linear", 0.71), ("Embedding", 0.2))
    found = Bottleneck(BottleneckKind.COMPUTE, 0.87654, (fact(),), BottleneckKind.QUEUE, parts, stage)
    shown = render.bottleneck(found, a_policy(), LATER)
    body: dict[str, Any] = {
        "kind": "Compute",
        "confidence": "0.8765",
        "parts": [{"kind": "Linear", "timeRatio": "0.71"}, {"kind": "Embedding", "timeRatio": "0.2"}],
        "stage": {"name": "GPU 1", "activeRatio": "0.951", "othersRatio": "0.502"},
        "runnerUp": "Queue",
        "since": stamp(NOW),
    }
    assert shown == findings.Bottleneck.model_validate(body)
    stored = a_policy(status={"bottleneck": body})
    again, other = (
        render.bottleneck(Bottleneck(kind, 0.9, ()), stored, when(NOW + 60.0))
        for kind in (BottleneckKind.COMPUTE, BottleneckKind.CPU)
    )
    assert again is not None
    assert other is not None
    assert (again.since, again.stage, again.runner_up) == (LATER, None, None)
    assert other.since == when(NOW + 60.0)
    assert render.bottleneck(None, stored, LATER) is None


def test_a_constraint_is_shown_with_as_much_of_its_reason_as_fits() -> None:
    (shown,) = render.constraints([Constraint("NoKnobs", "r" * 2000)])
    assert (shown.name, shown.reason) == ("NoKnobs", "r" * SENTENCE)


MEANS = {
    Signal.REQUESTS_PER_SECOND: 40.04,
    Signal.GPU_UTILIZATION_RATIO: 0.81,
    Signal.CPU_USED_CORES: 1.5,
    Signal.CPU_LIMIT_CORES: 2.0,
    Signal.GPU_MEMORY_USED_RATIO: 0.72,
    Signal.CACHE_HIT_RATIO: 0.33,
}


def a_baseline(**fields: Any) -> Baseline:
    rows = (
        ScorecardRow(Measure.ENERGY_PER_REQUEST, Attainment.MET, None, "J", value=4.25),
        ScorecardRow(Measure.COST_PER_REQUEST, Attainment.MET, None, "currency", value=0.00042),
    )
    known: dict[str, Any] = {
        "start": NOW - 1800.0,
        "end": NOW,
        "requests": 72_000,
        "rows": rows,
        "peaks": (Peak(Signal.QUEUE_REQUESTS, 12.5, "requests", NOW - 90.0),),
        "objectives": (COST,),
        "samples": 121,
        "means": MEANS,
        "lengths": {Signal.INPUT_TOKENS: 250.0, Signal.OUTPUT_TOKENS: 30.0},
    }
    return Baseline(**known | fields)


def test_a_baseline_shows_every_figure_that_was_measured() -> None:
    priced = a_policy(**MONEY)
    shown = render.baseline(a_baseline(), a_snapshot(), priced)
    (objective,) = render.objectives([COST], priced, LATER)
    assert shown == findings.Baseline.model_validate(
        {"from": stamp(NOW - 1800.0), "to": stamp(NOW), "requests": 72_000, "samples": 121, "replicas": "2",
         "requestsPerSecond": "40", "gpuUtilizationRatio": "0.81", "cpuUtilizationRatio": "0.75",
         "gpuMemoryRatio": "0.72", "cacheHitRatio": "0.33", "inputTokens": "250", "outputTokens": "30",
         "joulesPerRequest": "4.25", "costPerHour": "0.72", "costPerThousandRequests": "0.42",
         "objectives": [objective.to_body()],
         "peaks": [{"signal": "queue_requests", "value": "12.5", "unit": "requests", "at": stamp(NOW - 90.0)}]}
    )  # fmt: skip


def test_a_baseline_leaves_out_what_was_not_measured() -> None:
    gone = Snapshot(now=NOW, target=TargetProblem("NotFound", "gone"))
    shown = render.baseline(a_baseline(rows=(), peaks=(), objectives=(), means={}, lengths={}), gone, a_policy())
    known = {"from": stamp(NOW - 1800.0), "to": stamp(NOW), "requests": 72_000, "samples": 121}
    assert shown == findings.Baseline.model_validate(known)


@pytest.mark.parametrize(
    "means",
    [
        pytest.param({Signal.CPU_USED_CORES: 1.0}, id="no limit"),
        pytest.param({Signal.CPU_LIMIT_CORES: 1.0}, id="no use"),
        pytest.param({Signal.CPU_USED_CORES: 1.0, Signal.CPU_LIMIT_CORES: 0.0}, id="a limit of nothing"),
    ],
)
def test_the_share_of_the_cpu_in_use_is_not_known_without_both(means: dict[Signal, float]) -> None:
    shown = render.baseline(a_baseline(means=means), a_snapshot(), a_policy())
    assert shown.cpu_utilization_ratio is None


def test_a_saving_is_the_share_of_the_largest_bill_that_is_not_spent() -> None:
    shown = render.saving(a_snapshot(replicas=6, target=a_target(6)), a_policy(**MONEY), LATER)
    body = {"ratio": "0.25", "against": "MaxReplicas", "since": stamp(NOW)}
    assert shown == findings.Saving.model_validate(body)
    stored = a_policy(status={"saving": body}, **MONEY)
    again = render.saving(a_snapshot(), stored, when(NOW + 60.0))
    assert again is not None
    assert (again.ratio, again.since) == ("0.75", LATER)
    assert render.saving(a_snapshot(), a_policy(), LATER) is None
    assert render.saving(a_snapshot(), a_policy(scaling=None, **MONEY), LATER) is None
