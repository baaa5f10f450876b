"""The times of a trial."""

from __future__ import annotations

from typing import Any

import pytest

from trimtab_api.engine_knobs import Knob
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time


def rules(window: str = "5m", max_window: str = "30m") -> TrialRules:
    return TrialRules(window=window, max_window=max_window)


@pytest.mark.parametrize(
    ("window", "scrape", "length"),
    [
        pytest.param("30s", 1.0, 5, id="a-sixth"),
        pytest.param("2m", 5.0, 30, id="rounded-up"),
        pytest.param("5m", 5.0, 60, id="default"),
        pytest.param("30s", 15.0, 30, id="two-scrapes"),
        pytest.param("24h", 15.0, 900, id="longest"),
    ],
)
def test_a_slot_is_a_sixth_of_the_window_and_at_least_two_scrapes(window: str, scrape: float, length: int) -> None:
    assert trial_time.slot(rules(window), scrape) == length


@pytest.mark.parametrize(("scrape", "seconds"), [(1.0, 10.0), (5.0, 10.0), (15.0, 30.0)])
def test_settling_leaves_out_what_straddles_the_change(scrape: float, seconds: float) -> None:
    assert trial_time.settling(scrape) == seconds


@pytest.mark.parametrize(
    ("seconds", "left_out"),
    [(0.0, 0.0), (300.0, 0.0), (600.0, 150.0), (900.0, 300.0), (2100.0, 300.0)],
)
def test_what_may_be_cold_is_left_out_once_there_is_enough_beyond_it(seconds: float, left_out: float) -> None:
    assert trial_time.warming(rules(), seconds) == left_out


def test_a_run_in_may_be_as_long_as_the_longest_measurement_once_caches_are_warm() -> None:
    longest = trial_time.longest_run_in(rules())
    assert longest - trial_time.warming(rules(), longest) == trial_time.longest_window(rules())


def test_an_engine_goes_back_by_itself_after_every_stage_could_have_taken_its_longest() -> None:
    lasts = trial_time.expiry(rules(), 15.0, Knob.MAX_BATCH_SIZE)
    assert lasts == 120.0 + 30.0 + 1800.0 + 60.0
    assert lasts > trial_time.START_LIMIT + trial_time.longest_window(rules())


def test_the_slots_reach_back_over_the_run_in() -> None:
    assert trial_time.lookback(rules(), Knob.MAX_BATCH_SIZE) == 1800 + 300 + 120 + 1800 + 60
    assert trial_time.window(rules()) == 300.0


@pytest.mark.parametrize(
    ("window", "scrape", "advice"),
    [("2m", 15.0, None), ("2m", 15.1, "set it to 120.8s"), ("30s", 5.0, "set it to 40s"), ("40s", 5.0, None)],
)
def test_a_window_of_too_few_scrapes_is_refused_with_one_that_is_accepted(
    window: str, scrape: float, advice: Any
) -> None:
    found = trial_time.too_short(rules(window), scrape)
    assert (found is None) == (advice is None)
    if found is not None:
        assert advice in found
        assert f"spec.trial.window is {window}" in found


def test_a_format_that_is_searched_for_may_take_minutes_before_it_is_measured() -> None:
    assert trial_time.start_limit(Knob.MAX_BATCH_SIZE) == 120.0
    assert trial_time.start_limit(Knob.QUANTIZATION) == 1200.0
    assert trial_time.expiry(rules(), 15.0, Knob.QUANTIZATION) == 1200.0 + 30.0 + 1800.0 + 60.0
