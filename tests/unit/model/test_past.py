"""What has a trend, step by step, and the reason where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.pasts import a_past, a_ramp

from trimtab_api.findings import TrendSpan
from trimtab_operator.model.past import STEPS, Past, Quantity
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.slope import NoSlope, Slope

HOUR, DAY, WEEK = TrendSpan.HOUR, TrendSpan.DAY, TrendSpan.WEEK


def slope(past: Past, quantity: Quantity, span: TrendSpan = HOUR) -> Slope:
    found = past.trends[quantity][span]
    assert isinstance(found, Slope), found
    return found


def reason(past: Past, quantity: Quantity, span: TrendSpan = HOUR) -> str:
    found = past.trends[quantity][span]
    assert isinstance(found, NoSlope), found
    return found.reason


RATES: dict[Signal, Any] = {Signal.REQUESTS_PER_SECOND: 10.0, Signal.ERRORS_PER_SECOND: a_ramp(1.0, 1.0)}

CASES: list[tuple[Quantity, dict[Signal, Any], float, float]] = [
    (Quantity.GPU_UTILIZATION, {Signal.GPU_UTILIZATION_RATIO: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (Quantity.GPU_MEMORY, {Signal.GPU_MEMORY_USED_RATIO: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (Quantity.SERVICE_TIME, {Signal.SERVICE_SECONDS: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (Quantity.LATENCY, {Signal.LATENCY_SECONDS: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (Quantity.TIME_TO_FIRST_TOKEN, {Signal.TIME_TO_FIRST_TOKEN_SECONDS: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (Quantity.INTER_TOKEN_LATENCY, {Signal.INTER_TOKEN_LATENCY_SECONDS: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (Quantity.THROUGHPUT, RATES, -3600.0, 32400.0),
    (Quantity.ACCURACY, {Signal.ACCURACY_RATIO: a_ramp(1.0, 0.1)}, 0.1, 1.0),
    (Quantity.ERRORS, RATES, 0.1, 0.1),
    (Quantity.CACHE_HITS, {Signal.CACHE_HIT_RATIO: a_ramp(0.3, 0.1)}, 0.1, 0.3),
    (
        Quantity.ENERGY,
        {Signal.GPU_POWER_WATTS: 100.0, Signal.REQUESTS_PER_SECOND: 10.0, Signal.ERRORS_PER_SECOND: 0.0},
        0.0,
        10.0,
    ),
    (
        Quantity.RESOURCE_UTILIZATION,
        {
            Signal.GPU_UTILIZATION_RATIO: 0.1,
            Signal.CPU_USED_CORES: a_ramp(2.0, 1.0),
            Signal.CPU_LIMIT_CORES: 4.0,
            Signal.MEMORY_USED_BYTES: 2e9,
            Signal.MEMORY_LIMIT_BYTES: 1e10,
        },
        0.25,
        0.5,
    ),
]


@pytest.mark.parametrize(
    ("quantity", "signals", "per_hour", "level"), [pytest.param(*case, id=case[0]) for case in CASES]
)
def test_a_quantity_is_made_of_its_signals(
    quantity: Quantity, signals: dict[Signal, Any], per_hour: float, level: float
) -> None:
    found = slope(a_past(signals), quantity)
    assert (found.per_hour, found.level) == pytest.approx((per_hour, level), abs=1e-9)


def test_every_quantity_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(Quantity)


@pytest.mark.parametrize("quantity", list(Quantity))
def test_a_quantity_whose_signals_are_not_there_says_so(quantity: Quantity) -> None:
    assert reason(a_past({}), quantity) == "no series"
    assert reason(a_past({}, message="Prometheus did not answer"), quantity) == "Prometheus did not answer"


def test_nothing_is_divided_by_no_requests() -> None:
    idle = a_past({Signal.REQUESTS_PER_SECOND: 0.0, Signal.ERRORS_PER_SECOND: 0.0})
    assert reason(idle, Quantity.ERRORS) == "0 of 12 steps of 5 min are known, 8 needed"


@pytest.mark.parametrize(
    ("span", "known", "told"),
    [
        (HOUR, 7, "7 of 12 steps of 5 min are known, 8 needed"),
        (DAY, 7, "7 of 12 steps of 2 h are known, 8 needed"),
        (WEEK, 4, "4 of 7 steps of 24 h are known, 5 needed"),
    ],
)
def test_a_prometheus_that_keeps_less_than_the_time_gives_no_trend_over_it(
    span: TrendSpan, known: int, told: str
) -> None:
    past = a_past({Signal.CACHE_HIT_RATIO: 0.5})
    short = (None,) * (STEPS[span] - known) + (0.5,) * known
    past = replace(past, steps=past.steps | {span: {Signal.CACHE_HIT_RATIO: short}})
    assert reason(past, Quantity.CACHE_HITS, span) == told
    assert [isinstance(each, Slope) for each in past.trends[Quantity.CACHE_HITS].values()].count(True) == 2


def test_the_rates_of_the_hour_are_means_over_the_steps_that_know_both() -> None:
    past = a_past({Signal.REQUESTS_PER_SECOND: 10.0, Signal.ERRORS_PER_SECOND: a_ramp(1.1, 1.2)})
    hour = past.steps[HOUR]
    assert past.hourly_rates() == pytest.approx((10.0, 0.55))
    gaps = (None,) * 4 + hour[Signal.ERRORS_PER_SECOND][4:]
    assert replace(past, steps={HOUR: hour | {Signal.ERRORS_PER_SECOND: gaps}}).hourly_rates() is not None
    gaps = (None,) * 5 + hour[Signal.ERRORS_PER_SECOND][5:]
    assert replace(past, steps={HOUR: hour | {Signal.ERRORS_PER_SECOND: gaps}}).hourly_rates() is None
    assert a_past({}).hourly_rates() is None
