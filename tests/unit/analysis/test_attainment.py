"""Every objective of the API, measured or with the reason why not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from fakes.builders import a_distribution, a_policy, a_reading, a_snapshot, buckets

from trimtab_api.objectives import ObjectiveName, Objectives
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.durations import apdex, percentile_interval, percentile_noise
from trimtab_operator.analysis.seen import Seen
from trimtab_operator.model import histogram
from trimtab_operator.model.analysis import Attainment, ObjectiveResult
from trimtab_operator.model.signals import Buckets, Signal
from trimtab_operator.model.snapshot import Snapshot

MET, VIOLATED, UNKNOWN = Attainment.MET, Attainment.VIOLATED, Attainment.NOT_MEASURED
PODS = ("chat-0", "chat-1")


def gauge(signal: Signal, value: float) -> dict[Signal, Any]:
    return {signal: a_reading(signal, dict.fromkeys(PODS, value))}


def result(snapshot: Snapshot, objectives: dict[str, Any], **spec: Any) -> ObjectiveResult:
    (found,) = analyze(snapshot, a_policy(objectives=objectives, **spec)).objectives
    return found


TTFT = {Signal.TIME_TO_FIRST_TOKEN_SECONDS: a_distribution(
    Signal.TIME_TO_FIRST_TOKEN_SECONDS, dict.fromkeys(PODS, buckets(400, 0.4))
)}  # fmt: skip
COST = {"currency": "USD", "perCpuHour": "0.36"}
WATTS = gauge(Signal.GPU_POWER_WATTS, 100.0)
CACHED = gauge(Signal.CACHE_HIT_RATIO, 0.75)

CASES: list[tuple[str, Snapshot, dict[str, Any], dict[str, Any], Attainment, float | None]] = [
    ("latency-met", a_snapshot(), {"latency": {"max": "200ms"}}, {}, MET, 0.055),
    ("latency-slow-share", a_snapshot(slow=0.1), {"latency": {"max": "200ms"}}, {}, VIOLATED, 5.0),
    ("latency-few", a_snapshot(rps=0.5), {"latency": {"max": "1s"}}, {}, UNKNOWN, None),
    ("latency-none", a_snapshot(rps=0.0), {"latency": {"max": "1s"}}, {}, UNKNOWN, None),
    ("first-token", a_snapshot(distributions=TTFT), {"timeToFirstToken": {"max": "200ms"}}, {}, VIOLATED, 0.43),
    ("first-token-not-reported", a_snapshot(), {"timeToFirstToken": {"max": "200ms"}}, {}, UNKNOWN, None),
    ("errors-met", a_snapshot(errors=0.2), {"errorRatio": {"max": "0.01"}}, {}, MET, 0.005),
    ("errors-violated", a_snapshot(errors=4.0), {"errorRatio": {"max": "0.01"}}, {}, VIOLATED, 0.1),
    ("errors-few", a_snapshot(rps=0.5), {"errorRatio": {"max": "0.01"}}, {}, UNKNOWN, None),
    ("accuracy", a_snapshot(), {"accuracyRatio": {"min": "0.98"}}, {}, UNKNOWN, None),
    ("memory-unknown", a_snapshot(), {"gpuMemoryRatio": {"max": "0.90"}}, {}, UNKNOWN, None),
    ("memory", a_snapshot(readings=gauge(Signal.GPU_MEMORY_USED_RATIO, 0.95)), {"gpuMemoryRatio": {"max": "0.90"}}, {},
     VIOLATED, 0.95),
    ("apdex-met", a_snapshot(), {"satisfactionRatio": {"min": "0.95", "satisfiedWithin": "200ms"}}, {}, MET, 1.0),
    ("apdex-violated", a_snapshot(latency=0.3), {"satisfactionRatio": {"min": "0.95", "satisfiedWithin": "200ms"}}, {},
     VIOLATED, 0.5),
    ("apdex-few", a_snapshot(rps=0.5), {"satisfactionRatio": {"min": "0.95", "satisfiedWithin": "1s"}}, {}, UNKNOWN,
     None),
    ("apdex-none", a_snapshot(rps=0.0), {"satisfactionRatio": {"min": "0.95", "satisfiedWithin": "1s"}}, {}, UNKNOWN,
     None),
    ("gpu-use", a_snapshot(readings=gauge(Signal.GPU_UTILIZATION_RATIO, 0.5)), {"gpuUtilizationRatio": {"min": "0.85"}},
     {}, VIOLATED, 0.5),
    ("capacity", a_snapshot(), {"requestsPerSecond": {"min": "50"}}, {}, MET, 80.0),
    ("capacity-not-learned", a_snapshot(busy=0.05), {"requestsPerSecond": {"min": "50"}}, {}, UNKNOWN, None),
    ("cache", a_snapshot(readings=CACHED), {"cacheHitRatio": {"min": "0.80"}}, {}, VIOLATED, 0.75),
    ("energy", a_snapshot(readings=WATTS), {"joulesPerRequest": {"max": "5"}}, {}, MET, 5.0),
    ("energy-not-measured", a_snapshot(), {"joulesPerRequest": {"max": "5"}}, {}, UNKNOWN, None),
    ("energy-few", a_snapshot(rps=0.5, readings=WATTS), {"joulesPerRequest": {"max": "5"}}, {}, UNKNOWN, None),
    # two replicas of one core at 0.36 USD an hour = 0.0002 USD/s, over 40 requests/s
    ("cost", a_snapshot(), {"costPerThousandRequests": {"max": "1.00"}}, {"cost": COST}, MET, 0.005),
    ("cost-of-gpus-nobody-has", a_snapshot(rps=0.0), {"costPerThousandRequests": {"max": "1"}}, {"cost": COST}, UNKNOWN,
     None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("snapshot", "objectives", "spec", "attainment", "value"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_an_objective_is_measured_or_says_why_not(
    snapshot: Snapshot,
    objectives: dict[str, Any],
    spec: dict[str, Any],
    attainment: Attainment,
    value: float | None,
) -> None:
    found = result(snapshot, objectives, **spec)
    assert found.attainment is attainment, found
    assert found.value == (None if value is None else pytest.approx(value, rel=0.25))
    assert found.reason or attainment is not UNKNOWN
    assert 0.0 <= found.uncertainty_ratio <= 1.0


def test_every_objective_of_the_api_is_in_the_table_above() -> None:
    asked = {name for case in CASES for name in case[2]} | {"interTokenLatency"}
    assert (
        asked == {name.value for name in ObjectiveName} == {field.alias for field in Objectives.model_fields.values()}
    )


def test_an_errors_series_that_is_missing_is_no_zero() -> None:
    missing = {Signal.ERRORS_PER_SECOND: a_reading(Signal.ERRORS_PER_SECOND, {})}
    assert result(a_snapshot(readings=missing), {"errorRatio": {"max": "0.01"}}).attainment is UNKNOWN
    nothing = {Signal.REQUESTS_PER_SECOND: a_reading(Signal.REQUESTS_PER_SECOND, {})}
    assert result(a_snapshot(readings=nothing), {"errorRatio": {"max": "0.01"}}).attainment is UNKNOWN


def test_a_percentile_in_the_first_bucket_is_refused_where_the_limit_is_there_too() -> None:
    coarse = Buckets((0.3, 1.0, math.inf), (500.0, 500.0, 500.0))
    snapshot = a_snapshot(
        distributions={Signal.LATENCY_SECONDS: a_distribution(Signal.LATENCY_SECONDS, dict.fromkeys(PODS, coarse))}
    )
    found = result(snapshot, {"latency": {"max": "100ms"}})
    assert found.attainment is UNKNOWN
    assert "first bucket" in found.reason
    above = result(snapshot, {"latency": {"max": "500ms"}})
    assert (above.attainment, above.value, above.uncertainty_ratio) == (MET, None, 1.0)
    assert (above.low, above.high, above.margin_ratio) == (0.0, 0.3, None)


def test_without_objectives_there_is_no_result() -> None:
    assert analyze(a_snapshot(), a_policy()).objectives == ()


@pytest.mark.parametrize(("before", "after"), [("Met", MET), ("Violated", VIOLATED), ("NotMeasured", VIOLATED)])
def test_an_objective_at_its_limit_stays_as_it_stood(before: str, after: Attainment) -> None:
    standing = {"objectives": [{"name": "latency", "limit": "0.2s", "met": before}]}
    policy = a_policy(objectives={"latency": {"max": "200ms"}}, status=standing)
    (found,) = analyze(a_snapshot(slow=0.053), policy).objectives
    assert found.attainment is after


def test_the_standing_of_another_objective_is_not_mixed_up() -> None:
    standing = {"objectives": [{"name": "errorRatio", "limit": "0.01", "met": "Met"}]}
    policy = a_policy(objectives={"latency": {"max": "200ms"}}, status=standing)
    assert Seen(a_snapshot(), policy, {}, None).before(ObjectiveName.LATENCY) is None


def test_apdex_counts_the_tolerated_half() -> None:
    half = Buckets((0.2, 0.8, math.inf), (50.0, 80.0, 100.0))
    assert apdex(half, 0.2) == pytest.approx(0.65)


def test_the_noise_of_a_percentile_grows_where_the_tail_is_thin() -> None:
    few, many = buckets(100.0, 0.05, slow=0.04), buckets(1e6, 0.05, slow=0.04)
    noise = [percentile_noise(each, 95.0, histogram.percentile(each, 95.0)) for each in (few, many)]
    assert noise[0] > noise[1] > 0.0


def test_the_answers_from_the_cache_are_answers() -> None:
    snapshot = a_snapshot(rps=40.0)
    cached = replace(snapshot, readings=snapshot.readings | CACHED)
    assert analyze(cached, a_policy()).capacity == analyze(snapshot, a_policy()).capacity


def test_a_percentile_has_an_interval_of_whole_buckets_that_shrinks_with_requests() -> None:
    # 1 in 25 is slow: of many requests the p95 is surely not, of a thousand, worth a hundred, nobody knows.
    slow = {"slow": 0.04, "slow_seconds": 2.0}
    few, many = (percentile_interval(buckets(count, 0.05, **slow), 95.0) for count in (1e3, 1e7))
    assert few[0] < 0.05
    assert few[1] is not None
    assert few[1] > 2.0
    assert many == (pytest.approx(0.05, abs=0.01), pytest.approx(0.05, abs=0.01))


def test_a_percentile_that_may_lie_in_the_last_bucket_has_no_upper_end() -> None:
    assert percentile_interval(Buckets((0.3, 1.0, math.inf), (0.0, 940.0, 1000.0)), 95.0) == (0.3, None)


@pytest.mark.parametrize(
    ("snapshot", "objectives"),
    [
        pytest.param(a_snapshot(rps=400.0, slow=0.03), {"latency": {"max": "200ms"}}, id="latency"),
        pytest.param(a_snapshot(rps=400.0, errors=2.0), {"errorRatio": {"max": "0.01"}}, id="errors"),
        pytest.param(
            a_snapshot(rps=400.0, slow=0.03),
            {"satisfactionRatio": {"min": "0.9", "satisfiedWithin": "200ms"}},
            id="apdex",
        ),
    ],
)
def test_an_objective_on_requests_says_between_what_its_value_lies_and_how_sure_it_is(
    snapshot: Snapshot, objectives: dict[str, Any]
) -> None:
    found = result(snapshot, objectives)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.confidence is not None
    assert found.margin_ratio is not None
    assert found.low <= found.value <= found.high
    assert 0.5 < found.confidence < 1.0
    assert found.margin_ratio > 0.0
    fewer = result(replace(snapshot, target=replace(snapshot.target, pods=snapshot.target.pods[:1])), objectives)  # type: ignore[union-attr,type-var]
    assert fewer.confidence is not None
    assert fewer.confidence < found.confidence


def test_the_share_over_the_limit_is_told_with_its_interval() -> None:
    found = result(a_snapshot(slow=0.1), {"latency": {"max": "200ms"}})
    assert found.reason == "10.0% (5.1% to 18.7%) of requests over 200ms, 5% allowed"


def test_a_gauge_has_a_margin_and_no_confidence() -> None:
    found = result(a_snapshot(readings=gauge(Signal.GPU_MEMORY_USED_RATIO, 0.45)), {"gpuMemoryRatio": {"max": "0.90"}})
    assert (found.margin_ratio, found.confidence, found.low, found.high) == (0.5, None, None, None)
