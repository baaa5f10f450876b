"""Every row of the scorecard: a value, or the reason for none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import NOW, a_distribution, a_policy, a_reading, a_series, a_snapshot, an_engine, buckets

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.findings import Measure
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.scorecard import ROWS
from trimtab_operator.model.analysis import Attainment, ScorecardRow
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.model.snapshot import Snapshot, TargetProblem

MET, MISSED, UNKNOWN = Attainment.MET, Attainment.VIOLATED, Attainment.NOT_MEASURED
PODS = ("chat-0", "chat-1")
EVERYTHING: dict[Signal, Any] = {
    signal: a_reading(signal, dict.fromkeys(PODS, value))
    for signal, value in {
        Signal.GPU_UTILIZATION_RATIO: 0.9,
        Signal.GPU_MEMORY_USED_RATIO: 0.95,
        Signal.GPU_POWER_WATTS: 100.0,
        Signal.CACHE_HIT_RATIO: 0.5,
        Signal.CPU_USED_CORES: 0.2,
        Signal.MEMORY_USED_BYTES: 2.0**29,
    }.items()
}


def row(measure: Measure, snapshot: Snapshot, **policy: Any) -> ScorecardRow:
    return next(each for each in analyze(snapshot, a_policy(**policy)).scorecard if each.measure == measure)


RICH = a_snapshot(readings=EVERYTHING)
PRICES = {"cost": {"perCpuHour": "0.36"}}

CASES: list[tuple[Measure, Snapshot, dict[str, Any], Attainment, float | None]] = [
    (Measure.GPU_UTILIZATION, RICH, {}, MET, 0.9),
    (Measure.GPU_MEMORY, RICH, {}, MISSED, 0.95),
    (Measure.LATENCY_P95, RICH, {}, MET, 0.047),
    (Measure.RESPONSE_TIME_P95, RICH, {}, MET, 0.053),
    (Measure.THROUGHPUT, RICH, {}, MET, 144000.0),
    (Measure.ACCURACY, RICH, {}, UNKNOWN, None),
    (Measure.RESOURCE_UTILIZATION, RICH, {}, MET, 0.9),
    (Measure.ERRORS, RICH, {}, MET, 0.0),
    (Measure.SATISFACTION, RICH, {}, MET, 1.0),
    (Measure.CACHE_HITS, RICH, {}, MISSED, 0.5),
    (Measure.ENERGY_PER_REQUEST, RICH, {}, MET, 5.0),
    (Measure.COST_PER_REQUEST, RICH, PRICES, MET, 5e-6),
    (Measure.ENERGY_EFFICIENCY, RICH, {}, UNKNOWN, None),
]


def test_every_measure_of_the_api_has_a_row_and_a_case() -> None:
    assert [each.measure for each in ROWS] == list(Measure)
    assert [case[0] for case in CASES] == list(Measure)


@pytest.mark.parametrize(
    ("measure", "snapshot", "policy", "attainment", "value"), [pytest.param(*case, id=case[0]) for case in CASES]
)
def test_a_row_has_a_value_or_a_reason(
    measure: Measure, snapshot: Snapshot, policy: dict[str, Any], attainment: Attainment, value: float | None
) -> None:
    found = row(measure, snapshot, **policy)
    assert found.attainment is attainment
    assert found.value == (None if value is None else pytest.approx(value, rel=0.25, abs=1e-9))
    assert found.value is not None or found.reason


@pytest.mark.parametrize("measure", list(Measure))
def test_a_row_of_a_target_that_is_not_there_says_why(measure: Measure) -> None:
    found = row(measure, Snapshot(now=NOW, target=TargetProblem("NotFound", "gone")))
    assert (found.value, found.attainment) == (None, UNKNOWN)
    assert found.reason


OWN: list[tuple[Measure, dict[str, Any], float]] = [
    (Measure.GPU_UTILIZATION, {"gpuUtilizationRatio": {"min": "0.5"}}, 0.5),
    (Measure.GPU_MEMORY, {"gpuMemoryRatio": {"max": "0.6"}}, 0.6),
    (Measure.RESPONSE_TIME_P95, {"latency": {"max": "2s"}}, 2.0),
    (Measure.RESPONSE_TIME_P95, {"latency": {"percentile": 99, "max": "2s"}}, 0.2),
    (Measure.ACCURACY, {"accuracyRatio": {"min": "0.9"}}, 0.9),
    (Measure.ERRORS, {"errorRatio": {"max": "0.05"}}, 0.05),
    (Measure.SATISFACTION, {"satisfactionRatio": {"min": "0.8", "satisfiedWithin": "1s"}}, 0.8),
    (Measure.CACHE_HITS, {"cacheHitRatio": {"min": "0.3"}}, 0.3),
    (Measure.ENERGY_PER_REQUEST, {"joulesPerRequest": {"max": "4"}}, 4.0),
    (Measure.COST_PER_REQUEST, {"costPerThousandRequests": {"max": "3"}}, 0.003),
    (Measure.COST_PER_REQUEST, {"latency": {"max": "1s"}}, 0.001),
]


@pytest.mark.parametrize(("measure", "objectives", "reference"), OWN)
def test_an_objective_of_the_policy_replaces_the_charters_reference(
    measure: Measure, objectives: dict[str, Any], reference: float
) -> None:
    assert row(measure, RICH, objectives=objectives, **PRICES).reference == pytest.approx(reference)


NO_QUERY = a_snapshot(rps=0.0, readings=EVERYTHING)
COARSE = Buckets((0.3, 1.0, math.inf), (500.0, 500.0, 500.0))
LATE = Buckets((0.3, 1.0, math.inf), (0.0, 0.0, 500.0))


def with_latency(shape: Buckets) -> Snapshot:
    signal = Signal.LATENCY_SECONDS
    return a_snapshot(distributions={signal: a_distribution(signal, dict.fromkeys(PODS, shape))})


@pytest.mark.parametrize(
    ("measure", "snapshot", "policy", "reason"),
    [
        (Measure.RESPONSE_TIME_P95, with_latency(COARSE), {}, "below the first"),
        (Measure.RESPONSE_TIME_P95, with_latency(LATE), {}, "above the last"),
        (Measure.RESPONSE_TIME_P95, with_latency(buckets(5.0)), {}, "20 are needed"),
        (Measure.SATISFACTION, with_latency(buckets(5.0)), {}, "20 are needed"),
        (Measure.ERRORS, NO_QUERY, {}, "20 are needed"),
        (Measure.COST_PER_REQUEST, NO_QUERY, PRICES, "20 are needed"),
        (Measure.COST_PER_REQUEST, RICH, {}, "no prices"),
        (Measure.COST_PER_REQUEST, replace(RICH, target=replace(RICH.target, pods=())), PRICES, "not known"),
        (Measure.ENERGY_PER_REQUEST, NO_QUERY, {}, "no request was answered"),
        (Measure.GPU_UTILIZATION, a_snapshot(), {}, "dcgm-exporter nor the node agent"),
        (Measure.RESOURCE_UTILIZATION, a_snapshot(), {}, "the runtime nor the node agent"),
    ],
)
def test_what_is_not_measured_says_what_would_be_needed(
    measure: Measure, snapshot: Snapshot, policy: dict[str, Any], reason: str
) -> None:
    found = row(measure, snapshot, **policy)
    assert found.value is None
    assert reason in found.reason


def test_the_scarcest_resource_is_named() -> None:
    assert row(Measure.RESOURCE_UTILIZATION, RICH).reason == "GPU"


@pytest.mark.parametrize(("state", "attainment"), [("Met", MET), ("Missed", MISSED), ("NotMeasured", MISSED)])
def test_a_row_near_its_reference_stays_as_it_stood(state: str, attainment: Attainment) -> None:
    standing = {"scorecard": [{"measure": "GpuUtilization", "reference": "0.85", "state": state}]}
    readings = {Signal.GPU_UTILIZATION_RATIO: a_reading(Signal.GPU_UTILIZATION_RATIO, dict.fromkeys(PODS, 0.82))}
    assert row(Measure.GPU_UTILIZATION, a_snapshot(readings=readings), status=standing).attainment is attainment


def test_a_row_that_did_not_stand_before_is_judged_by_its_value() -> None:
    standing = {"scorecard": [{"measure": "CacheHits", "reference": "0.8", "state": "Met"}]}
    assert row(Measure.GPU_MEMORY, RICH, status=standing).attainment is MISSED


def test_values_are_means_of_five_minutes_and_carry_their_requests() -> None:
    snapshot = a_snapshot(rps=40.0, history={Signal.REQUESTS_PER_SECOND: a_series(Signal.REQUESTS_PER_SECOND, 10.0)})
    found = row(Measure.THROUGHPUT, snapshot)
    assert (found.value, found.samples) == (36000.0, 3000)
    fresh = row(Measure.THROUGHPUT, replace(snapshot, history={}))
    assert (fresh.value, fresh.samples) == (144000.0, 800)


UNMODIFIED = EngineSettings(quantization="None", variant="base")
INT8 = EngineSettings(quantization="Int8", variant="base")
AGREEMENT = {Signal.ACCURACY_RATIO: a_reading(Signal.ACCURACY_RATIO, {"chat-0": 0.995, "chat-1": 0.97})}


def running(*settings: EngineSettings | None) -> dict[str, EngineState]:
    return {f"uid-chat-{number}": an_engine(applied=each) for number, each in enumerate(settings)}


def test_accuracy_is_the_lower_bound_of_the_worst_pod() -> None:
    found = row(Measure.ACCURACY, a_snapshot(readings=AGREEMENT, engines=running(INT8, INT8)))
    assert (found.value, found.attainment) == (0.97, MISSED)


def test_the_unmodified_model_agrees_with_itself_by_definition() -> None:
    found = row(Measure.ACCURACY, a_snapshot(engines=running(UNMODIFIED, UNMODIFIED)))
    assert (found.value, found.attainment, found.reason) == (1.0, MET, "by definition: the unmodified model answers")


@pytest.mark.parametrize("engines", [running(UNMODIFIED, INT8), running(UNMODIFIED, None), running(UNMODIFIED)])
def test_a_changed_model_that_nobody_compared_and_one_that_nobody_knows_are_not_measured(
    engines: dict[str, EngineState],
) -> None:
    found = row(Measure.ACCURACY, a_snapshot(engines=engines))
    assert (found.value, found.attainment) == (None, UNKNOWN)
    assert "no comparison with the unmodified model" in found.reason


def test_errors_are_shares_of_all_requests_by_reason_largest_first() -> None:
    reasons = {"expired": 0.4, "rejected": 2.0, "error": 0.4}
    found = row(Measure.ERRORS, a_snapshot(rps=40.0, errors=2.8, history={}, error_reasons=reasons))
    assert found.errors == (("rejected", 0.05), ("error", 0.01), ("expired", 0.01))
    assert row(Measure.CACHE_HITS, a_snapshot(error_reasons=reasons)).errors == ()


def test_errors_of_no_requests_are_not_shared_out() -> None:
    assert row(Measure.ERRORS, a_snapshot(rps=0.0, history={}, error_reasons={"error": 1.0})).errors == ()
    assert row(Measure.ERRORS, a_snapshot(readings={}, error_reasons={})).errors == ()
