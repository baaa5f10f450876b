"""Hundreds of trials on the noise of the real engine: equal arms seldom promoted, worse ones never, better ones mostly.

A trial takes minutes of the recording (fakes/engine_noise.py). The canary's busy seconds are scaled from the change on;
everything else is as in the product, look by look.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from fakes.engine_noise import BLOCK_SCRAPES, SCRAPE_SECONDS, in_slots, of_last_scrapes, recording, resampled

from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_api.trial import Verdict
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.comparison import compare
from trimtab_operator.analysis.statistics import overdispersion
from trimtab_operator.analysis.sudden_breach import sudden_breach
from trimtab_operator.model.arms import TrialTimes
from trimtab_operator.trial.judge import judge
from trimtab_operator.trial.looks import look_at, look_times
from trimtab_operator.trial.times import long_enough, times_at

TRIALS = 400
START = 1_800_000_000.0
RULES = TrialRules(window="60s", max_window="5m", min_requests=100)
GOAL = Goal.MINIMIZE_COST


def run(random: np.random.Generator, cost: float) -> Verdict:
    """Run one trial whose canary costs this multiple, look by look, after a run-in as long as the noise asks for."""
    settling, slot = trial_time.settling(SCRAPE_SECONDS), trial_time.slot(RULES, SCRAPE_SECONDS)
    longest = trial_time.longest_run_in(RULES) + trial_time.longest_window(RULES) + 3.0 * slot
    noise = resampled(random, round(longest / SCRAPE_SECONDS))
    begins = (START + number * SCRAPE_SECONDS for number in count(1))
    unchanged = in_slots(noise, slot, START)
    changed = next(now for now in begins if long_enough(RULES, unchanged, GOAL, START, now))
    measured_from = math.ceil((changed + settling) / slot) * slot
    noise[round((changed - START) / SCRAPE_SECONDS) :, 0, 2] *= cost
    arms = in_slots(noise, slot, START)
    for due in look_times(RULES):
        look, now = look_at(due, RULES), measured_from + due
        times = times_at(look, RULES, START, changed, measured_from)
        comparison = compare(arms, times, now=now, goal=GOAL, objectives=None, confidence=look.confidence)
        verdict = judge(comparison, RULES, look).verdict
        if verdict is not None:
            return verdict
    raise AssertionError("the last look gave no verdict")


def is_aborted_at_once(random: np.random.Generator, objectives: Objectives) -> bool:
    """Whether a trial of equal arms is ended by what two scrapes show, asked at every scrape for all of its time."""
    slot, run_in = trial_time.slot(RULES, SCRAPE_SECONDS), trial_time.window(RULES)
    changed, over = START + run_in, START + run_in + trial_time.longest_window(RULES)
    noise = resampled(random, round((over - START) / SCRAPE_SECONDS))
    arms, times = in_slots(noise, slot, START), TrialTimes(START, changed, changed, changed, over)
    looks = np.arange(changed + 2.0 * SCRAPE_SECONDS, over, SCRAPE_SECONDS)
    seen = (replace(arms, recent=of_last_scrapes(noise, changed, float(now), START)) for now in looks)
    return any(sudden_breach(each, times, objectives) is not None for each in seen)


def verdicts(cost: float, seed: int) -> Counter[Verdict]:
    random = np.random.default_rng(seed)
    found = Counter(run(random, cost) for _ in range(TRIALS))
    print(f"a canary that costs {cost:.2f} times as much: {dict(found)}")
    return found


def test_the_recording_is_of_busy_pods_over_enough_minutes() -> None:
    noise = recording()
    assert noise.shape[0] >= 10 * BLOCK_SCRAPES
    assert noise.shape[1] >= 2
    assert noise[:, :, 2].mean(axis=0).max() >= 0.6


def test_equal_pods_refuse_requests_in_bursts() -> None:
    """So refusals of two arms must not be compared as if requests were independent."""
    pods = recording()[:, :, :2].transpose(1, 0, 2) * SCRAPE_SECONDS
    assert overdispersion([tuple((float(bad), float(count)) for count, bad in pod) for pod in pods]) > 10.0


def test_of_400_trials_of_equal_arms_at_most_one_in_twenty_is_called_improved() -> None:
    assert verdicts(1.0, seed=4)[Verdict.IMPROVED] <= TRIALS // 20


def test_of_400_trials_of_equal_arms_at_most_one_in_twenty_is_called_regressed() -> None:
    assert verdicts(1.0, seed=4)[Verdict.REGRESSED] <= TRIALS // 20


def test_of_400_trials_of_a_canary_that_costs_30_percent_more_none_is_promoted() -> None:
    assert verdicts(1.3, seed=5)[Verdict.IMPROVED] == 0


def test_of_400_trials_of_a_canary_that_is_30_percent_better_four_in_five_are_promoted() -> None:
    assert verdicts(1.0 / 1.3, seed=6)[Verdict.IMPROVED] >= 0.8 * TRIALS


@pytest.mark.parametrize("allowed", ["0.01", "0.25"])
def test_of_400_trials_of_equal_arms_at_most_one_in_a_hundred_is_aborted_at_once(allowed: str) -> None:
    """The pods of the recording refuse a sixth of their requests, in single scrapes the half."""
    random, objectives = np.random.default_rng(202), Objectives.model_validate({"errorRatio": {"max": allowed}})
    aborted = sum(is_aborted_at_once(random, objectives) for _ in range(TRIALS))
    print(f"of {TRIALS} trials of equal arms that may refuse {allowed}, {aborted} were aborted at once")
    assert aborted <= TRIALS // 100
