"""The schedule of a switchback: its periods, who has the change in them, and what of each is measured."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pytest
from fakes.builders import NOW, RULES, a_trial, at
from hypothesis import given
from hypothesis import strategies as st

from trimtab_api.quantities import format_duration
from trimtab_api.trial import MAX_PERIODS, OptimizationTrial
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.switch_schedule import (
    LEAST_PAIRS,
    has_change,
    in_force_since,
    measured_periods,
    measured_seconds,
    number_at,
    pairs,
    period_seconds,
    too_few_pairs,
)
from trimtab_operator.model.arms import Period

SCRAPE = 5.0
SLOT = 10
UIDS = st.text(min_size=1, max_size=64)
WINDOWS = st.integers(min_value=1, max_value=86_400)
SCRAPES = st.floats(min_value=0.5, max_value=120.0)
LONG = RULES | {"maxWindow": "20m"}  # periods of a minute
MEASURING = {"phase": "Measuring", "startedAt": at(-7.0), "measuredFrom": at(10.0), "periodSeconds": 60}


def rules(max_window: str = "30m", window: str = "5m") -> TrialRules:
    return TrialRules(window=window, max_window=max_window)


def of_seconds(seconds: int) -> TrialRules:
    return TrialRules(window="1s", max_window=format_duration(seconds))


@pytest.mark.parametrize(
    ("max_window", "scrape", "seconds", "count"),
    [
        pytest.param("30m", 5.0, 60, 15, id="a minute, as a rule"),
        pytest.param("10m", 5.0, 30, 10, id="shorter where ten pairs would not fit"),
        pytest.param("5m", 5.0, 30, 5, id="but long enough to settle and to be measured for a slot"),
        pytest.param("30m", 15.0, 90, 10, id="longer where scrapes are rare"),
        pytest.param("250s", 1.0, 25, 5, id="short scrapes do not shorten what the engine needs"),
        pytest.param("24h", 5.0, 1350, 32, id="longer where there would be more of them than a trial may hold"),
    ],
)
def test_a_period_is_a_minute_where_ten_pairs_of_it_fit(
    max_window: str, scrape: float, seconds: int, count: int
) -> None:
    assert period_seconds(rules(max_window), scrape) == seconds
    assert pairs(rules(max_window), seconds) == count


@given(WINDOWS, SCRAPES)
def test_periods_are_whole_slots_and_never_more_than_a_trial_may_hold(seconds: int, scrape: float) -> None:
    length = period_seconds(of_seconds(seconds), scrape)
    assert length % trial_time.short_slot(scrape) == 0
    assert 2 * pairs(of_seconds(seconds), length) <= MAX_PERIODS
    assert length > trial_time.settling(scrape)


@given(WINDOWS, SCRAPES)
def test_a_time_that_is_refused_says_how_long_it_must_be_and_that_is_then_enough(seconds: int, scrape: float) -> None:
    refusal = too_few_pairs(of_seconds(seconds), scrape)
    if refusal is None:
        assert pairs(of_seconds(seconds), period_seconds(of_seconds(seconds), scrape)) >= LEAST_PAIRS
        return
    asked = int(refusal.partition("set it to ")[2].partition("s or more")[0])
    assert asked > seconds
    assert asked > 86_400 or too_few_pairs(of_seconds(asked), scrape) is None


def test_what_is_measured_of_each_arm_leaves_out_the_start_of_every_period() -> None:
    assert measured_seconds(rules("30m"), SCRAPE) == 15 * (60.0 - 20.0)
    assert measured_seconds(rules("5m"), SCRAPE) == 5 * 10.0


def runs(values: Iterable[bool]) -> list[int]:
    return [len(list(group)) for _, group in groupby(values)]


@given(UIDS, st.integers(min_value=1, max_value=MAX_PERIODS // 2))
def test_every_pair_has_the_change_once_so_no_setting_lasts_longer_than_two_periods(uid: str, count: int) -> None:
    periods = [has_change(uid, number) for number in range(2 * count)]
    assert all(first is not second for first, second in zip(periods[::2], periods[1::2], strict=True))
    assert max(runs(periods)) <= 2
    assert periods == [has_change(uid, number) for number in range(2 * count)], "whoever asks gets the same"


def test_over_many_trials_the_change_comes_first_in_half_of_each_pair_and_pairs_are_drawn_apart() -> None:
    first = [[has_change(f"uid-{trial}", 2 * pair) for pair in range(10)] for trial in range(1000)]
    assert all(abs(sum(pairs) - 500) < 5 * 16 for pairs in zip(*first, strict=True))
    alike = sum(row[0] is row[1] for row in first)
    assert abs(alike - 500) < 5 * 16


@pytest.mark.parametrize(("elapsed", "number"), [(-30.0, 0), (0.0, 0), (59.9, 0), (60.0, 1), (1199.0, 19)])
def test_periods_follow_each_other_without_a_gap(elapsed: float, number: int) -> None:
    assert number_at(elapsed, 60) == number


def seen(*periods: tuple[str, float], **status: Any) -> OptimizationTrial:
    noted = [{"arm": arm, "from": at(second)} for arm, second in periods]
    return a_trial(status=MEASURING | {"periods": noted} | status, rules=LONG, design="Switchback")


def tried(trial: OptimizationTrial, until: float) -> list[Period]:
    return [each for each in measured_periods(trial, SCRAPE, NOW + until) if each.number >= 0]


def spans(periods: Iterable[Period]) -> list[tuple[int, bool, float, float, bool]]:
    return [(each.number, each.changed, each.begin - NOW, each.end - NOW, each.over) for each in periods]


def test_of_a_period_the_slots_are_measured_after_the_engine_was_seen_to_run_with_it_and_settled() -> None:
    trial = seen(("Canary", 10.0), ("Stable", 80.0))
    assert spans(tried(trial, 500.0)) == [(0, True, 30.0, 70.0, True), (1, False, 100.0, 130.0, True)]


def test_what_prometheus_has_not_stored_yet_is_not_measured_and_the_period_not_over() -> None:
    trial = seen(("Canary", 10.0))
    assert spans(tried(trial, 58.0)) == [(0, True, 30.0, 50.0, False)]
    assert tried(trial, 30.0) == []
    assert spans(tried(trial, 70.0)) == [(0, True, 30.0, 70.0, True)]


def test_a_period_that_the_engine_took_too_late_or_never_is_not_measured() -> None:
    late = seen(("Canary", 10.0), ("Stable", 115.0), ("Stable", 190.0))
    assert [each.number for each in tried(late, 900.0)] == [0, 3]


def test_the_last_window_of_the_run_in_is_cut_to_as_long_stretches_without_the_change() -> None:
    stretches = [each for each in measured_periods(seen(), SCRAPE, NOW) if each.number < 0]
    assert spans(stretches) == [(-2, False, -110.0, -70.0, True), (-1, False, -50.0, -10.0, True)]


@pytest.mark.parametrize("missing", ["startedAt", "measuredFrom", "periodSeconds"])
def test_before_the_measurement_there_is_nothing_to_measure(missing: str) -> None:
    assert measured_periods(seen(**{missing: None}), SCRAPE, NOW) == ()


@pytest.mark.parametrize(
    ("status", "since"),
    [
        pytest.param({"changed": ["uid-chat-0"], "changedAt": at(2.0)}, 2.0, id="since before the first period"),
        pytest.param({"changed": [], "changedAt": at(2.0)}, None, id="without the change"),
        pytest.param({"changed": ["uid-chat-0"], "changedAt": at(70.0)}, 73.0, id="since it was noted"),
        pytest.param({"changed": ["uid-chat-0"], "changedAt": at(190.0)}, None, id="asked for and not seen yet"),
        pytest.param({"changed": ["uid-chat-0"]}, None, id="nobody knows when it was asked for"),
        pytest.param({"changed": ["uid-chat-0"], "changedAt": at(2.0), "measuredFrom": None}, None, id="not begun"),
    ],
)
def test_the_change_is_in_force_from_the_first_time_it_was_seen_without_a_break(
    status: dict[str, Any], since: float | None
) -> None:
    trial = seen(("Stable", 12.0), ("Canary", 73.0), ("Canary", 131.0), **status)
    assert in_force_since(trial.status) == (None if since is None else NOW + since)
