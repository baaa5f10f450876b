"""Where a trend leads: an objective that is met now and will be missed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.builders import NOW, a_policy, a_reading, a_snapshot
from fakes.pasts import a_past, a_ramp
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.findings import Measure, TrendSpan
from trimtab_api.objectives import ObjectiveName
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.trends import QUANTITIES, misses, percentiles
from trimtab_operator.model.analysis import Attainment, ObjectiveResult, ScorecardRow
from trimtab_operator.model.past import STEPS, Past, Quantity
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.slope import NoSlope, Slope

HOUR, DAY, WEEK = TrendSpan.HOUR, TrendSpan.DAY, TrendSpan.WEEK
PODS = ("chat-0", "chat-1")
MEMORY, HITS = Signal.GPU_MEMORY_USED_RATIO, Signal.CACHE_HIT_RATIO
AT_MOST, AT_LEAST = {"gpuMemoryRatio": {"max": "0.90"}}, {"cacheHitRatio": {"min": "0.80"}}


def result(past: Past | None, objectives: dict[str, Any], value: float, *, standing: bool = False) -> ObjectiveResult:
    (name,) = objectives
    signal = MEMORY if objectives == AT_MOST else HITS
    before = {"name": name, "limit": "?", "met": "Met"} | ({"willMissAt": "2027-01-15T09:00:00Z"} if standing else {})
    snapshot = a_snapshot(readings={signal: a_reading(signal, dict.fromkeys(PODS, value))}, past=past)
    (found,) = analyze(snapshot, a_policy(objectives=objectives, status={"objectives": [before]})).objectives
    return found


def only(span: TrendSpan, past: Past) -> Past:
    """Return the past with steps over one span alone."""
    return replace(past, steps={each: past.steps[each] if each is span else {} for each in TrendSpan})


@pytest.mark.parametrize(
    ("span", "per_hour", "hours"),
    [
        pytest.param(HOUR, 0.12, 0.5, id="within-the-hour"),
        pytest.param(HOUR, 0.05, None, id="not-within-the-hour"),
        pytest.param(DAY, 0.005, 12.0, id="within-the-day"),
        pytest.param(DAY, 0.002, None, id="not-within-the-day"),
        pytest.param(WEEK, 0.0005, 120.0, id="within-the-week"),
        pytest.param(WEEK, 0.0003, None, id="not-within-the-week"),
        pytest.param(HOUR, -0.12, None, id="away-from-the-limit"),
        pytest.param(HOUR, 0.0, None, id="nowhere"),
    ],
)
@pytest.mark.parametrize("objectives", [AT_MOST, AT_LEAST], ids=["at-most", "at-least"])
def test_a_trend_is_carried_on_for_as_long_as_it_was_watched(
    span: TrendSpan, per_hour: float, hours: float | None, objectives: dict[str, Any]
) -> None:
    sign, value = (1.0, 0.84) if objectives == AT_MOST else (-1.0, 0.86)
    past = only(span, a_past({MEMORY: a_ramp(value, per_hour), HITS: a_ramp(value, sign * per_hour)}))
    found = result(past, objectives, value).miss
    if hours is None:
        assert found is None
    else:
        assert found is not None
        assert (found.over, found.at) == (span, pytest.approx(NOW + hours * 3600.0, abs=1.0))


def test_of_two_trends_the_one_that_leads_there_first_is_told() -> None:
    past = a_past({MEMORY: a_ramp(0.84, 0.12)})
    assert [type(each) for each in past.trends[Quantity.GPU_MEMORY].values()] == [Slope] * 3
    found = result(past, AT_MOST, 0.84).miss
    assert found is not None
    assert found.at == pytest.approx(NOW + 1800.0, abs=1.0)


@pytest.mark.parametrize(
    ("objectives", "signal", "value", "sign"), [(AT_MOST, MEMORY, 0.84, 1.0), (AT_LEAST, HITS, 0.86, -1.0)]
)
def test_a_trend_whose_interval_is_too_wide_is_no_warning_until_one_stands(
    objectives: dict[str, Any], signal: Signal, value: float, sign: float
) -> None:
    noise = sign * np.random.default_rng(2).normal(0.0, 0.02, STEPS[HOUR])
    ramp = a_ramp(value, sign * 0.12)
    assert callable(ramp)
    past = only(HOUR, a_past({signal: lambda span: tuple(np.add(ramp(span), noise[: STEPS[span]]).tolist())}))
    assert result(past, objectives, value).miss is None
    assert result(past, objectives, value, standing=True).miss is not None
    calm = only(HOUR, a_past({signal: ramp}))
    assert result(calm, objectives, value).miss is not None


def test_noise_about_a_steady_value_seldom_warns() -> None:
    """5 % of noise, 10 % from the limit, neighbours alike by .3: at most one independent look in a hundred."""
    random, looks = np.random.default_rng(3), 1000
    warned = 0
    for _ in range(looks):
        shocks = random.normal(0.0, 0.05 * 0.90, STEPS[HOUR] + 20)
        noise = [0.0]
        for shock in shocks:
            noise.append(0.3 * noise[-1] + 0.954 * shock)
        values = tuple(0.81 + each for each in noise[-STEPS[HOUR] :])
        past = Past({HOUR: {MEMORY: values}}, {HOUR: NOW})
        warned += any(True for _ in misses(past, Quantity.GPU_MEMORY, 0.90, standing=False))
    assert warned <= 0.01 * looks


def test_the_warning_of_another_objective_is_not_mixed_up() -> None:
    past = only(HOUR, a_past({MEMORY: a_ramp(0.84, 0.045)}))  # there in 80 min: near enough for one that stands
    other = {"name": "cacheHitRatio", "limit": "?", "met": "Met", "willMissAt": "2027-01-15T09:00:00Z"}
    snapshot = a_snapshot(readings={MEMORY: a_reading(MEMORY, dict.fromkeys(PODS, 0.84))}, past=past)
    (found,) = analyze(snapshot, a_policy(objectives=AT_MOST, status={"objectives": [other]})).objectives
    assert found.miss is None
    assert result(past, AT_MOST, 0.84, standing=True).miss is not None


def test_a_warning_that_stands_goes_once_nothing_leads_there() -> None:
    assert result(only(HOUR, a_past({MEMORY: a_ramp(0.84, 0.045)})), AT_MOST, 0.84, standing=True).miss is not None
    assert result(only(HOUR, a_past({MEMORY: a_ramp(0.84, 0.03)})), AT_MOST, 0.84, standing=True).miss is None


@pytest.mark.parametrize(
    ("past", "value"),
    [
        pytest.param(None, 0.84, id="no-past"),
        pytest.param(a_past({}), 0.84, id="no-series"),
        pytest.param(a_past({MEMORY: a_ramp(0.97, 0.12)}), 0.97, id="missed-already"),
        pytest.param(a_past({MEMORY: a_ramp(0.95, 0.12)}), 0.84, id="the-line-is-past-the-limit"),
    ],
)
def test_without_a_way_to_the_limit_there_is_no_warning(past: Past | None, value: float) -> None:
    assert result(past, AT_MOST, value).miss is None


def test_an_objective_without_a_series_is_never_warned_of() -> None:
    cost = {"costPerThousandRequests": {"max": "1.00"}}
    policy = a_policy(objectives=cost, cost={"currency": "USD", "perCpuHour": "0.36"})
    (found,) = analyze(a_snapshot(past=a_past({})), policy).objectives
    assert (found.attainment, found.miss) == (Attainment.MET, None)


def test_objectives_without_a_trend_are_those_of_which_no_series_is_kept() -> None:
    assert set(ObjectiveName) - set(QUANTITIES) == {
        ObjectiveName.SATISFACTION_RATIO,
        ObjectiveName.REQUESTS_PER_SECOND,
        ObjectiveName.COST_PER_THOUSAND_REQUESTS,
    }


@given(start=st.floats(0.0, 0.85), per_hour=st.floats(0.0, 1.0), faster=st.floats(0.0, 1.0))
def test_a_faster_trend_is_never_missed_later(start: float, per_hour: float, faster: float) -> None:
    slow, fast = (
        result(only(HOUR, a_past({MEMORY: a_ramp(start, pace)})), AT_MOST, start).miss
        for pace in (per_hour, per_hour + faster)
    )
    if slow is not None:
        assert fast is not None
        assert fast.at <= slow.at + 1e-3


def test_the_percentile_that_is_watched_is_the_policys_own() -> None:
    assert percentiles(a_policy()) == {Signal.SERVICE_SECONDS: 95, Signal.LATENCY_SECONDS: 95}
    own = a_policy(objectives={"latency": {"percentile": 99, "max": "2s"}, "timeToFirstToken": {"max": "1s"}})
    assert percentiles(own) == {
        Signal.SERVICE_SECONDS: 95,
        Signal.LATENCY_SECONDS: 99,
        Signal.TIME_TO_FIRST_TOKEN_SECONDS: 95,
    }


def row(measure: Measure, past: Past | None) -> ScorecardRow:
    return next(each for each in analyze(a_snapshot(past=past), a_policy()).scorecard if each.measure == measure)


def test_a_row_shows_the_trend_of_its_quantity() -> None:
    past = a_past({Signal.LATENCY_SECONDS: a_ramp(0.1, 0.01)}, percentiles={Signal.LATENCY_SECONDS: 95})
    assert row(Measure.RESPONSE_TIME_P95, past).trends == past.trends[Quantity.LATENCY]


@pytest.mark.parametrize("measure", [Measure.SATISFACTION, Measure.COST_PER_REQUEST, Measure.ENERGY_EFFICIENCY])
def test_a_row_without_a_series_shows_none(measure: Measure) -> None:
    assert row(measure, a_past({})).trends == {}


def test_without_a_past_no_row_shows_a_trend() -> None:
    assert row(Measure.ERRORS, None).trends == {}


def test_the_row_of_the_p95_does_not_show_the_trend_of_the_p99() -> None:
    past = a_past({Signal.LATENCY_SECONDS: a_ramp(0.1, 0.01)}, percentiles={Signal.LATENCY_SECONDS: 99})
    assert row(Measure.RESPONSE_TIME_P95, past).trends == dict.fromkeys(
        TrendSpan, NoSlope("the policy's objective is on another percentile")
    )
