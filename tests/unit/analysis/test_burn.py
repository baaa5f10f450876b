"""How fast what may be missed is used up: over five minutes and an hour, with memory."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import a_distribution, a_policy, a_series, a_snapshot, buckets
from fakes.pasts import a_past

from trimtab_api.objectives import ObjectiveName
from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.analysis.burn import spent_signals
from trimtab_operator.model.analysis import BurnRate, ObjectiveResult
from trimtab_operator.model.past import Past
from trimtab_operator.model.signals import Distribution, Signal
from trimtab_operator.model.snapshot import Snapshot

LATENCY = {"latency": {"percentile": 95, "max": "200ms"}}
APDEX = {"satisfactionRatio": {"min": "0.9", "satisfiedWithin": "200ms"}}
ERRORS = {"errorRatio": {"max": "0.01"}}


def histogram(slow: float, requests: float = 1000.0) -> dict[Signal, Distribution]:
    signal = Signal.LATENCY_SECONDS
    shape = buckets(requests / 2.0, 0.05, slow)
    return {signal: a_distribution(signal, {"chat-0": shape, "chat-1": shape})}


def slow(short: float, long: float, requests: float = 1000.0) -> Snapshot:
    return a_snapshot(five_minutes=histogram(short, requests), hour=histogram(long, requests))


def failing(short: float, past: Past | None) -> Snapshot:
    lately = {
        Signal.REQUESTS_PER_SECOND: a_series(Signal.REQUESTS_PER_SECOND, 10.0),
        Signal.ERRORS_PER_SECOND: a_series(Signal.ERRORS_PER_SECOND, 10.0 * short),
    }
    return a_snapshot(history=lately, past=past)


def hour(errors: float, requests: float = 10.0) -> Past:
    return a_past({Signal.REQUESTS_PER_SECOND: requests, Signal.ERRORS_PER_SECOND: requests * errors})


def result(snapshot: Snapshot, objectives: dict[str, Any], *, lasted: bool = False) -> ObjectiveResult:
    (name,) = objectives
    standing = {"name": name, "limit": "?", "met": "Met", "burnRate": {"lasting": lasted}}
    (found,) = analyze(snapshot, a_policy(objectives=objectives, status={"objectives": [standing]})).objectives
    return found


def burn(snapshot: Snapshot, objectives: dict[str, Any], *, lasted: bool = False) -> BurnRate:
    found = result(snapshot, objectives, lasted=lasted).burn
    assert found is not None
    return found


CASES = [
    ("latency", slow(0.1, 0.2), LATENCY, 2.0, 4.0),
    ("latency-nothing-bad", slow(0.0, 0.0), LATENCY, 0.0, 0.0),
    ("satisfaction", slow(0.2, 0.05), APDEX, 2.0, 0.5),
    ("errors", failing(0.02, hour(0.005)), ERRORS, 2.0, 0.5),
]


@pytest.mark.parametrize(
    ("snapshot", "objectives", "short", "long"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_the_rate_is_the_bad_share_over_the_allowed_share(
    snapshot: Snapshot, objectives: dict[str, Any], short: float, long: float
) -> None:
    found = burn(snapshot, objectives)
    assert (found.short, found.long) == pytest.approx((short, long), abs=1e-6)


@pytest.mark.parametrize(
    ("snapshot", "objectives"),
    [
        pytest.param(a_snapshot(), LATENCY, id="no-histograms"),
        pytest.param(slow(0.5, 0.5, requests=19.0), LATENCY, id="few-requests"),
        pytest.param(failing(0.5, None), LATENCY, id="latency-is-not-told-by-errors"),
        pytest.param(a_snapshot(rps=0.01, history={}), ERRORS, id="few-requests-of-errors"),
        pytest.param(a_snapshot(past=hour(0.5, 0.001), readings={}, rps=0.0, history={}), ERRORS, id="idle"),
    ],
)
def test_what_was_not_measured_has_no_rate(snapshot: Snapshot, objectives: dict[str, Any]) -> None:
    assert burn(snapshot, objectives) == BurnRate(None, None, lasting=False)


def test_a_past_that_does_not_know_the_hour_gives_no_long_rate() -> None:
    assert burn(failing(0.02, a_past({})), ERRORS).long is None


def test_where_nothing_may_fail_there_is_no_rate_but_still_a_verdict() -> None:
    none_may = {"errorRatio": {"max": "0"}}
    assert burn(failing(0.02, hour(0.02)), none_may) == BurnRate(None, None, lasting=True)
    assert result(failing(0.02, hour(0.02)), none_may).confidence is None


def test_objectives_on_no_share_of_requests_burn_nothing() -> None:
    assert result(a_snapshot(), {"gpuMemoryRatio": {"max": "0.9"}}).burn is None


@pytest.mark.parametrize(
    ("snapshot", "lasted", "lasting"),
    [
        pytest.param(slow(0.1, 0.1), False, True, id="both-windows"),
        pytest.param(slow(0.1, 0.01), False, False, id="it-has-just-begun"),
        pytest.param(slow(0.0, 0.2), False, False, id="it-is-over"),
        pytest.param(slow(0.055, 0.055), False, False, id="chance-does-not-begin-it"),
        pytest.param(slow(0.055, 0.055), True, True, id="nor-end-it"),
        pytest.param(slow(0.045, 0.2), True, False, id="less-than-allowed-ends-it"),
        pytest.param(a_snapshot(hour=histogram(0.5)), True, False, id="one-window-is-not-enough"),
    ],
)
def test_only_both_windows_together_are_a_lasting_miss(snapshot: Snapshot, lasted: bool, lasting: bool) -> None:
    assert burn(snapshot, LATENCY, lasted=lasted).lasting is lasting


@pytest.mark.parametrize(
    ("objectives", "signals"),
    [
        (None, set()),
        (ERRORS, set()),
        (LATENCY | APDEX, {Signal.LATENCY_SECONDS}),
        ({"timeToFirstToken": {"max": "1s"}}, {Signal.TIME_TO_FIRST_TOKEN_SECONDS}),
    ],
)
def test_only_the_histograms_of_objectives_are_asked_for(
    objectives: dict[str, Any] | None, signals: set[Signal]
) -> None:
    assert spent_signals(a_policy(objectives=objectives)) == signals


def test_a_policy_without_objectives_burns_nothing() -> None:
    assert analyze(slow(0.5, 0.5), a_policy()).objectives == ()


def test_every_objective_on_requests_has_a_rate() -> None:
    objectives = LATENCY | APDEX | ERRORS
    found = analyze(slow(0.1, 0.1), a_policy(objectives=objectives)).objectives
    assert {each.name for each in found if each.burn} == {
        ObjectiveName.LATENCY,
        ObjectiveName.SATISFACTION_RATIO,
        ObjectiveName.ERROR_RATIO,
    }
