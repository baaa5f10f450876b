"""What two scrapes tell of a canary that breaks a guard: only what is beyond doubt, and not waited for before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.arms import some_arms, the_times, with_recent
from fakes.builders import a_distribution

from trimtab_api.objectives import Objectives
from trimtab_operator.analysis.sudden_breach import sudden_breach
from trimtab_operator.model.arms import Arms
from trimtab_operator.model.comparison import GuardComparison, SuddenBreach
from trimtab_operator.model.signals import Buckets, Signal

LATENCY = {"latency": {"percentile": 95, "max": "100ms"}}
USUAL = (0.01, 0.01)


def late(share: float, count: float = 300.0) -> Buckets:
    return Buckets((0.1, 1.0, float("inf")), (count * (1.0 - share), count, count))


def both(shares: tuple[float, float], count: float = 300.0) -> tuple[Buckets, Buckets]:
    return late(shares[0], count), late(shares[1], count)


def after_a_run_in(shares: tuple[float, float] | None = USUAL) -> Arms:
    """Arms of which so many requests were late in the run-in, of 1800 each; None: not known."""
    if shares is None:
        return some_arms()
    signal, pods = Signal.LATENCY_SECONDS, ("canary-0", "stable-0")
    run_in = a_distribution(signal, dict(zip(pods, both(shares, 1800.0), strict=True)))
    return replace(some_arms(), run_in={signal: run_in})


def breach(arms: Arms, **objectives: Any) -> SuddenBreach | None:
    return sudden_breach(arms, the_times(), Objectives.model_validate(objectives) if objectives else None)


def found(arms: Arms, **objectives: Any) -> GuardComparison | None:
    sudden = breach(arms, **objectives)
    return None if sudden is None else sudden.guard


@pytest.mark.parametrize(
    ("shares", "run_in", "count", "told"),
    [
        pytest.param((1.0, 0.01), USUAL, 300.0, True, id="nearly-all-are-late"),
        pytest.param((0.85, 0.01), USUAL, 40.0, True, id="of-few-requests"),
        pytest.param((1.0, 0.01), None, 300.0, True, id="nothing-known-of-the-run-in"),
        pytest.param((0.75, 0.01), USUAL, 300.0, False, id="a-moment-of-standing-still"),
        pytest.param((1.0, 0.01), USUAL, 19.0, False, id="too-few-requests"),
        pytest.param((1.0, 0.06), USUAL, 300.0, False, id="late-beside-it-too"),
        pytest.param((1.0, 0.01), (0.3, 0.3), 300.0, False, id="late-before-the-change"),
        pytest.param((0.82, 0.0), (0.08, 0.0), 300.0, True, id="worse-than-it-was"),
        pytest.param((0.82, 0.0), (0.08, 0.0), 20.0, True, id="worse-than-it-was-of-few-requests"),
        pytest.param((0.01, 0.01), USUAL, 300.0, False, id="alike"),
    ],
)
def test_late_requests_end_a_trial_at_once_only_where_nearly_all_are(
    shares: tuple[float, float], run_in: tuple[float, float] | None, count: float, told: bool
) -> None:
    guard = found(with_recent(after_a_run_in(run_in), durations=both(shares, count)), **LATENCY)
    assert (guard is not None) == told
    if guard is not None:
        assert (guard.name, guard.samples) == ("latency", count)
        assert guard.canary == pytest.approx(shares[0])


@pytest.mark.parametrize(
    ("errors", "requests", "told"),
    [
        pytest.param((3.0, 0.0), 30.0, True, id="a-tenth"),
        pytest.param((0.4, 0.0), 4.0, True, id="a-tenth-of-few"),
        pytest.param((1.2, 0.0), 30.0, False, id="within-what-is-allowed"),
        pytest.param((0.2, 0.0), 2.0, False, id="two-that-failed"),
        pytest.param((0.5, 0.0), 1.5, False, id="too-few-requests"),
        pytest.param((3.0, 3.0), 30.0, False, id="beside-it-too"),
        pytest.param((3.0, 0.0), 0.0, False, id="no-requests"),
    ],
)
def test_a_tenth_that_fails_ends_a_trial_at_once(errors: tuple[float, float], requests: float, told: bool) -> None:
    guard = found(with_recent(some_arms(), errors=errors, requests=requests))
    assert (guard is not None) == told
    if guard is not None:
        assert guard.name == "errorRatio"
        assert guard.canary == pytest.approx(errors[0] / requests)


def test_a_burst_of_errors_as_the_run_in_had_them_ends_nothing() -> None:
    """One slot in which three of ten failed: half of what two scrapes count may be such a burst, two thirds not."""
    bursty = some_arms(stable={Signal.ERRORS_PER_SECOND: lambda slot: 9.0 if slot == -3 else 0.0})
    assert found(with_recent(bursty, errors=(150.0, 0.0), requests=300.0)) is None
    assert found(with_recent(bursty, errors=(200.0, 0.0), requests=300.0)) is not None


@pytest.mark.parametrize(("requests", "told"), [(4.0, False), (400.0, True)])
def test_what_chance_may_bring_ends_nothing(requests: float, told: bool) -> None:
    """An eighth fails where one in twenty-two always did: of 40 requests that says nothing, of 4000 all."""
    usual = {Signal.ERRORS_PER_SECOND: 0.045 * 30.0}
    errors = (0.12 * requests, 0.045 * requests)
    guard = found(with_recent(some_arms(usual, usual), errors=errors, requests=requests))
    assert (guard is not None) == told


@pytest.mark.parametrize(("share", "told"), [(0.045, True), (0.055, False)])
def test_a_guard_that_the_run_in_broke_is_not_asked(share: float, told: bool) -> None:
    before = {Signal.ERRORS_PER_SECOND: share * 30.0}
    assert (found(with_recent(some_arms(before, before), errors=(15.0, 0.0))) is not None) == told


@pytest.mark.parametrize(("canary_before", "told"), [(0.0, True), (0.9, False)])
def test_a_canary_that_was_the_slower_pod_before_is_held_against_itself(canary_before: float, told: bool) -> None:
    median = {"latency": {"percentile": 50, "max": "100ms"}}
    guard = found(with_recent(after_a_run_in((canary_before, 0.0)), durations=both((0.9, 0.0))), **median)
    assert (guard is not None) == told


def test_slots_without_requests_are_no_burst() -> None:
    idle = some_arms(stable={Signal.REQUESTS_PER_SECOND: lambda slot: 0.0 if slot == -3 else 30.0})
    assert found(with_recent(idle, errors=(3.0, 0.0))) is not None


def test_requests_that_waited_since_before_the_change_do_not_count() -> None:
    """All that take longer than 12 s and end within 12 s of the change came before it."""
    patient = {"latency": {"percentile": 95, "max": "12s"}}
    slow = (Buckets((12.0, float("inf")), (0.0, 300.0)), Buckets((12.0, float("inf")), (300.0, 300.0)))
    assert found(with_recent(some_arms(), durations=slow, in_force_seconds=15.0), **patient) is None
    assert found(with_recent(some_arms(), durations=slow, in_force_seconds=20.0), **patient) is not None


def test_without_two_scrapes_of_the_change_in_force_nothing_is_said() -> None:
    assert found(some_arms(), **LATENCY) is None


def test_durations_that_are_not_measured_are_no_breach() -> None:
    assert found(with_recent(some_arms()), **LATENCY) is None
    assert found(replace(with_recent(some_arms()), slots={}), **LATENCY) is None


def test_a_breach_tells_what_both_arms_did_in_the_two_scrapes() -> None:
    sudden = breach(with_recent(some_arms(), errors=(3.0, 0.3), durations=both((1.0, 0.01))), **LATENCY)
    assert sudden is not None
    latency, errors = sudden.beside
    assert (latency.measure, latency.canary_samples, latency.stable_samples) == ("LatencyP95", 300.0, 300.0)
    assert latency.canary is not None
    assert latency.canary > 0.9
    assert (errors.measure, errors.canary, errors.stable) == ("Errors", pytest.approx(0.1), pytest.approx(0.01))


def test_errors_that_nobody_counts_are_not_shown_as_none() -> None:
    seen = with_recent(some_arms(), durations=both((1.0, 0.01)))
    assert seen.recent is not None
    uncounted = replace(seen, recent=replace(seen.recent, rates={Signal.ERRORS_PER_SECOND: {}}))
    sudden = breach(uncounted, **LATENCY)
    assert sudden is not None
    assert [row.measure for row in sudden.beside] == ["LatencyP95"]
