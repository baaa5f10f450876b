"""What two scrapes tell of a pod that has the change by turns: only what its periods without it show nothing like."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.periods import turns, with_turn

from trimtab_api.objectives import Objectives
from trimtab_operator.analysis.sudden_breach_by_turns import sudden_breach_by_turns
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.comparison import SuddenBreach
from trimtab_operator.model.signals import Buckets, Signal

LATENCY = {"latency": {"percentile": 95, "max": "100ms"}}
ERRORS, REQUESTS = Signal.ERRORS_PER_SECOND, Signal.REQUESTS_PER_SECOND
NEWEST = 10  # the number of the last period without the change
FEW = {"usual": 0.0, "newest": 0.0, "count": 40.0}  # so few requests that one period says little of how minutes differ


def late(share: float, count: float = 300.0) -> Buckets:
    return Buckets((0.1, 1.0, float("inf")), (count * (1.0 - share), count, count))


def waiting(usual: float = 0.01, worst: float = 0.01, newest: float = 0.01, count: float = 1200.0) -> Arms:
    """Of every period without the change so many requests are late, of one and of the newest so many; with it all."""
    shares = {0: worst, NEWEST: newest}
    return turns(durations=lambda number, changed: late(1.0 if changed else shares.get(number, usual), count))


def breach(arms: Arms, **objectives: Any) -> SuddenBreach | None:
    return sudden_breach_by_turns(arms, Objectives.model_validate(objectives) if objectives else None)


@pytest.mark.parametrize(
    ("before", "share", "requests", "told"),
    [
        pytest.param({}, 1.0, 30.0, True, id="nearly-all-are-late"),
        pytest.param({}, 0.75, 30.0, False, id="a-moment-of-standing-still"),
        pytest.param({}, 0.01, 30.0, False, id="alike"),
        pytest.param({"usual": 0.06, "worst": 0.06}, 1.0, 30.0, False, id="late-without-the-change-too"),
        pytest.param(FEW | {"worst": 0.4}, 0.85, 30.0, True, id="twice-the-worst-period"),
        pytest.param(FEW | {"worst": 0.45}, 0.85, 30.0, False, id="less-than-twice-the-worst-period"),
        pytest.param({"newest": 0.06}, 1.0, 30.0, False, id="late-in-the-newest-period-without-it"),
        pytest.param({}, 1.0, 36.0, True, id="as-many-requests-as-chance-may-bring"),
        pytest.param({}, 1.0, 36.1, False, id="more-requests-than-the-pod-ever-served"),
        pytest.param({}, 1.0, None, False, id="nobody-knows-how-many-requests"),
    ],
)
def test_late_requests_end_a_switchback_at_once_only_where_its_other_periods_show_nothing_like_it(
    before: dict[str, float], share: float, requests: float | None, told: bool
) -> None:
    found = breach(with_turn(waiting(**before), durations=late(share), requests=requests), **LATENCY)
    assert (found is not None) == told
    if found is not None:
        assert (found.guard.name, found.guard.canary, found.guard.samples) == ("latency", pytest.approx(share), 300.0)


def test_minutes_that_differ_by_themselves_make_a_switchback_doubt() -> None:
    """Periods of which a third, now and then, is late vary by hundreds of times as much as independent requests."""
    wild = turns(durations=lambda number, _: late(0.33 if number in (-2, 4) else 0.0, 1200.0))
    patient = {"latency": {"percentile": 90, "max": "100ms"}}
    assert breach(with_turn(wild, durations=late(0.9, 40.0)), **patient) is None
    assert breach(with_turn(waiting(0.055, 0.055, 0.055), durations=late(0.9, 40.0)), **patient) is not None


def test_requests_that_waited_since_before_the_turn_do_not_count() -> None:
    patient = {"latency": {"percentile": 95, "max": "12s"}}
    slow, quick = (Buckets((12.0, float("inf")), (fast, 300.0)) for fast in (0.0, 300.0))
    arms = turns(durations=lambda _, changed: quick)
    assert breach(with_turn(arms, durations=slow, in_force_seconds=15.0), **patient) is None
    assert breach(with_turn(arms, durations=slow, in_force_seconds=20.0), **patient) is not None


@pytest.mark.parametrize(
    ("errors", "before", "told"),
    [
        pytest.param(3.0, {}, True, id="a-tenth"),
        pytest.param(1.2, {}, False, id="within-what-is-allowed"),
        pytest.param(0.2, {}, False, id="two-that-failed"),
        pytest.param(None, {}, False, id="not-measured"),
        pytest.param(3.0, {0: 1.4}, True, id="twice-the-worst-slot"),
        pytest.param(3.0, {0: 1.6}, False, id="less-than-twice-the-worst-slot"),
        pytest.param(6.0, {NEWEST: 1.6}, False, id="the-newest-period-without-it-fails-too"),
    ],
)
def test_a_tenth_that_fails_ends_a_switchback_at_once(
    errors: float | None, before: dict[int, float], told: bool
) -> None:
    arms = turns({ERRORS: lambda number, changed: 30.0 if changed else before.get(number, 0.0)})
    found = breach(with_turn(arms, errors=errors))
    assert (found is not None) == told
    if found is not None:
        assert found.guard.name == "errorRatio"
        (row,) = found.beside
        assert (row.measure.value, row.canary, row.canary_samples) == ("Errors", pytest.approx(0.1), 300.0)


def test_a_period_without_requests_is_no_period_that_keeps_the_guard() -> None:
    def failed(number: int, _: bool) -> float:
        return 1.6 if number == NEWEST - 2 else 0.0

    def requests(number: int, _: bool) -> float:
        return 0.0 if number == NEWEST else 30.0

    assert breach(with_turn(turns({ERRORS: failed, REQUESTS: requests}), errors=6.0)) is None
    assert breach(with_turn(turns({ERRORS: failed}), errors=6.0)) is not None


def test_a_breach_by_turns_tells_what_the_pod_did_with_the_change_and_without_it() -> None:
    found = breach(with_turn(waiting(), durations=late(1.0), errors=0.3), **LATENCY)
    assert found is not None
    latency, errors = found.beside
    assert (latency.measure.value, latency.canary_samples, latency.stable_samples) == ("LatencyP95", 300.0, 12_000.0)
    assert (errors.measure.value, errors.canary) == ("Errors", pytest.approx(0.01))


def test_what_is_not_known_ends_no_switchback() -> None:
    broken = with_turn(waiting(), durations=late(1.0), errors=3.0)
    assert breach(waiting(), **LATENCY) is None
    assert breach(replace(broken, periods=()), **LATENCY) is None
    assert breach(replace(broken, slots={}), **LATENCY) is None
    assert breach(with_turn(turns(), durations=late(1.0)), **LATENCY) is None
    assert breach(with_turn(waiting()), **LATENCY) is None


def test_the_durations_of_other_pods_are_not_those_of_the_switchback() -> None:
    broken = with_turn(waiting(), durations=late(1.0))
    assert broken.recent is not None
    (signal,) = broken.recent.distributions
    others = replace(broken.recent.distributions[signal], by_pod={"chat-7": late(1.0)})
    assert breach(replace(broken, recent=replace(broken.recent, distributions={signal: others})), **LATENCY) is None
