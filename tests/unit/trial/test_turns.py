"""A switchback at work: what the pod is asked for in each period, what is noted, and when it is looked at again."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import CANARY, NOW, RULES, STABLE, a_pod, a_trial, a_tuning, at
from fakes.periods import turns
from fakes.stands import a_stand, a_tuned_policy, attached_target, engines
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.trial import MAX_PERIODS, OptimizationTrial, TrialPhase, TrialStatus
from trimtab_operator.analysis.switch_schedule import has_change
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial.stages import next_status
from trimtab_operator.trial.stand import Stand
from trimtab_operator.trial.texts import when
from trimtab_operator.trial.turns import SOON_SECONDS, seconds_to_next, take_turns

POD = "uid-chat-0"
PERIOD = 60.0
PAIRS = 10
LONG = RULES | {"maxWindow": "20m"}
UID = "uid-chat-1"  # of the trial
FREEZE = [{"days": ["Fri"], "from": "00:00", "to": "24:00"}]  # NOW is a Friday
GIVEN = {
    "phase": "Measuring",
    "changed": [POD],
    "changedAt": at(-20.0),
    "startedAt": at(-20.0),
    "measuredFrom": at(),
    "periodSeconds": 60,
}
POLICY = a_tuned_policy(status={"tuning": a_tuning()})
RUNS_OLD, RUNS_NEW = engines(None), engines(CANARY)
FIRST = has_change(UID, 0)


def a_switchback(changed: bool, *periods: float, **status: Any) -> OptimizationTrial:
    """A trial under measurement whose pod was last asked to have the change or not; `periods` are when it ran so."""
    noted = [{"arm": "Canary", "from": at(second)} for second in periods]
    pods = [{"uid": POD, "name": "chat-0", "node": "node-a", "arm": "Canary"}]
    said = GIVEN | {"changed": [POD] if changed else [], "periods": noted} | status
    return a_trial(status=said, design="Switchback", pods=pods, rules=LONG)


def standing(trial: OptimizationTrial, after: float, runs: dict[str, EngineState] = RUNS_OLD, **fields: Any) -> Stand:
    said: dict[str, Any] = {"target": attached_target(1), "policy": POLICY, "engines": runs} | fields
    return a_stand(trial, after=after, **said)


def after_tick(
    trial: OptimizationTrial, after: float, runs: dict[str, EngineState] = RUNS_OLD, **how: Any
) -> TrialStatus:
    stand = standing(trial, after, runs, **how)
    return take_turns(stand, stand.status)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("before", [False, True])
def test_a_pod_is_asked_for_what_the_period_that_has_begun_has(number: int, before: bool) -> None:
    found = after_tick(a_switchback(before), number * PERIOD + 1.0)
    wanted = has_change(UID, number)
    assert found.changed == ((POD,) if wanted else ())
    if wanted is not before:
        assert found.changed_at == when(NOW + number * PERIOD + 1.0)
        assert found.periods == (), "what is asked now is not yet in force"


def test_the_first_periods_settings_are_asked_for_while_the_engine_still_settles() -> None:
    found = after_tick(a_switchback(not FIRST, measuredFrom=at(30.0)), 2.0)
    assert found.changed == ((POD,) if FIRST else ())
    assert after_tick(a_switchback(FIRST, measuredFrom=at(30.0)), 2.0, RUNS_NEW if FIRST else RUNS_OLD).periods == ()


@pytest.mark.parametrize("number", range(4))
def test_a_period_is_noted_once_the_engine_says_that_it_runs_with_its_settings(number: int) -> None:
    wanted = has_change(UID, number)
    trial, seconds = a_switchback(wanted), number * PERIOD + 3.0
    right, wrong = (RUNS_NEW, RUNS_OLD) if wanted else (RUNS_OLD, RUNS_NEW)
    assert after_tick(trial, seconds, wrong) == trial.status
    (seen,) = after_tick(trial, seconds, right).periods
    assert (seen.arm, seen.from_) == ("Canary" if wanted else "Stable", when(NOW + seconds))
    noted = a_switchback(wanted, seconds)
    assert after_tick(noted, seconds + 5.0, right) == noted.status, "once"


def test_the_first_period_may_be_noted_from_its_first_moment_on() -> None:
    (seen,) = after_tick(a_switchback(FIRST), 0.0, RUNS_NEW if FIRST else RUNS_OLD).periods
    assert seen.from_ == when(NOW)


def test_a_period_follows_another_with_the_same_settings_without_a_word_to_the_engine() -> None:
    number = next(each for each in range(1, 99) if has_change(UID, each) is has_change(UID, each - 1))
    wanted = has_change(UID, number)
    trial = a_switchback(wanted, (number - 1) * PERIOD)
    found = after_tick(trial, number * PERIOD, RUNS_NEW if wanted else RUNS_OLD)
    assert (found.changed, found.changed_at) == (trial.status.changed, trial.status.changed_at)
    assert len(found.periods) == 2


def test_the_old_settings_are_those_of_the_policy_or_where_it_has_none_yet_those_of_the_trial() -> None:
    number = next(each for each in range(9) if not has_change(UID, each))
    trial, seconds = a_switchback(False), number * PERIOD + 1.0
    bare = a_tuned_policy()
    assert after_tick(trial, seconds, engines(STABLE), policy=bare).periods
    assert not after_tick(trial, seconds, RUNS_OLD, policy=bare).periods


def test_a_pod_that_does_not_serve_is_not_seen_to_run_anything() -> None:
    trial, runs = a_switchback(FIRST), RUNS_NEW if FIRST else RUNS_OLD
    away = attached_target(1, pods=(a_pod("chat-0", attachable=True, ready=False),))
    assert after_tick(trial, 1.0, runs).periods
    assert not after_tick(trial, 1.0, runs, target=away).periods


def test_after_the_last_pair_the_pod_has_its_old_settings_and_nothing_is_noted() -> None:
    late = next(each for each in range(2 * PAIRS, 99) if has_change(UID, each)) * PERIOD + 1.0
    assert after_tick(a_switchback(True), late).changed == ()
    trial = a_switchback(False)
    assert after_tick(trial, late) == trial.status


@given(st.lists(st.floats(min_value=0.0, max_value=3000.0), max_size=40).map(sorted))
def test_whenever_ticks_come_each_period_is_noted_at_most_once_with_its_own_settings(ticks: list[float]) -> None:
    trial = a_switchback(True)
    for after in ticks:
        runs = RUNS_NEW if trial.status.changed else RUNS_OLD
        trial = trial.model_copy(update={"status": after_tick(trial, after, runs)})
    numbers = [int((each.from_.timestamp() - NOW) // PERIOD) for each in trial.status.periods]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= MAX_PERIODS
    assert [each.arm == "Canary" for each in trial.status.periods] == [has_change(UID, number) for number in numbers]


def test_a_calendar_that_forbids_changes_ends_it_with_the_old_settings() -> None:
    frozen = a_tuned_policy(freeze=FREEZE, status={"tuning": a_tuning()})
    found = after_tick(a_switchback(True), 1.0, policy=frozen)
    assert (found.phase, found.verdict, found.violations) == ("Reverting", "Inconclusive", 0)
    assert found.reason == "spec.freeze of the policy forbids to switch settings now"
    assert after_tick(a_switchback(False), 1.0, policy=frozen).phase is TrialPhase.FINISHED


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("before", [False, True])
def test_on_measurements_that_are_not_trusted_nothing_is_switched_or_noted(number: int, before: bool) -> None:
    trial = a_switchback(before)
    assert after_tick(trial, number * PERIOD + 3.0, RUNS_NEW if before else RUNS_OLD, busy=9.0) == trial.status


def test_the_schedule_does_not_change_with_what_a_tick_knows_of_the_scrapes() -> None:
    trial = a_switchback(has_change(UID, 3), 3 * PERIOD)
    assert after_tick(trial, 3 * PERIOD + 40.0, scrape_interval_seconds=None) == trial.status
    unstored = a_switchback(has_change(UID, 3), 3 * PERIOD, periodSeconds=None)
    assert after_tick(unstored, 3 * PERIOD + 40.0) == unstored.status


def test_the_length_of_a_period_is_stored_when_the_engine_has_taken_the_change() -> None:
    starting = {"phase": "Starting", "measuredFrom": None, "periodSeconds": None}
    found = next_status(standing(a_switchback(True, **starting), 3.0, RUNS_NEW))
    assert (found.phase, found.period_seconds, found.measured_from) == ("Measuring", 60, when(NOW + 20.0))


def test_what_its_measurements_have_ended_is_not_switched_any_more() -> None:
    worse = turns({Signal.ERRORS_PER_SECOND: lambda _, changed: 6.0 if changed else 0.0})
    guarded = a_tuned_policy(objectives={"errorRatio": {"max": "0.01"}})
    found = next_status(standing(a_switchback(True, 0.0), 2 * PERIOD + 1.0, arms=worse, policy=guarded))
    assert (found.phase, found.verdict, found.violations) == ("Reverting", "Regressed", 1)
    assert found.changed == (POD,)


def test_a_look_waits_for_the_last_slot_of_its_last_period() -> None:
    better = turns({Signal.BUSY_RATIO: lambda number, changed: (0.5 if changed else 0.8) + 0.001 * number}, pairs=10)
    trial = a_switchback(True, looks=3)
    assert "over 8 pairs" in next_status(standing(trial, 20 * PERIOD, arms=better)).reason, "those of the look before"
    found = next_status(standing(trial, 20 * PERIOD + 10.0, arms=better))
    assert (found.phase, found.verdict) == ("RollingOut", "Improved")
    assert "over 10 pairs of periods: better" in found.reason


@pytest.mark.parametrize(
    ("trial", "after", "seconds"),
    [
        pytest.param(a_switchback(True, measuredFrom=at(30.0)), 12.0, 18.0, id="until the first period begins"),
        pytest.param(a_switchback(True), 0.0, SOON_SECONDS, id="from the first moment on"),
        pytest.param(a_switchback(True), 0.5, SOON_SECONDS, id="and within the first second"),
        pytest.param(a_switchback(True), 12.0, SOON_SECONDS, id="soon while the engine has not taken it"),
        pytest.param(a_switchback(True, 2.0), 12.0, 48.0, id="until the next period"),
        pytest.param(a_switchback(True, 2.0), 61.0, SOON_SECONDS, id="the next has begun"),
    ],
)
def test_it_is_looked_at_again_when_there_is_something_to_do(
    trial: OptimizationTrial, after: float, seconds: float
) -> None:
    assert seconds_to_next(standing(trial, after)) == seconds
