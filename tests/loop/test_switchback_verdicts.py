"""Hundreds of switchbacks on the noise of the real engine: equal settings seldom promoted, better ones mostly.

One pod of the recording (fakes/engine_noise.py), in minutes put together anew, so that each period may be unlike the
one before it. Its busy seconds are scaled in the periods with the change; everything else is as in the product, look
by look.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fakes.builders import NOW, a_trial, at
from fakes.engine_noise import SCRAPE_SECONDS, Noise, in_slots, of_last_scrapes, resampled

from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_api.trial import OptimizationTrial, Verdict
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.sudden_breach_by_turns import sudden_breach_by_turns
from trimtab_operator.analysis.switch_schedule import has_change, measured_periods, pairs, period_seconds
from trimtab_operator.analysis.switchback import compare_periods
from trimtab_operator.model.arms import Arms
from trimtab_operator.trial.judge import Judgement, judge
from trimtab_operator.trial.looks import look_at, look_times
from trimtab_operator.trial.times import times_at

TRIALS = 400
RULES = TrialRules(window="5m", max_window="20m", min_requests=100)
LONGEST = trial_time.longest_window(RULES)
PERIOD = period_seconds(RULES, SCRAPE_SECONDS)
PAIRS = pairs(RULES, PERIOD)
RUN_IN_SECONDS = 300.0
TAKEN_SECONDS = 3.0
"""After the start of a period until the engine runs with its settings."""
GUARDED = Objectives.model_validate({"errorRatio": {"max": "0.01"}})


def a_switchback(number: int) -> OptimizationTrial:
    uid = f"uid-{number}"
    periods = [
        {"arm": "Canary" if has_change(uid, period) else "Stable", "from": at(period * PERIOD + TAKEN_SECONDS)}
        for period in range(2 * PAIRS)
    ]
    begun = {"startedAt": at(-20.0), "measuredFrom": at(), "periodSeconds": PERIOD}
    status = begun | {"phase": "Measuring", "periods": periods}
    trial = a_trial(design="Switchback", rules=RULES.to_body(), status=status)
    return trial.model_copy(update={"metadata": trial.metadata.model_copy(update={"uid": uid})})


def noise_of(random: np.random.Generator) -> Noise:
    """What one pod did in the run-in and the longest measurement."""
    return resampled(random, round((RUN_IN_SECONDS + LONGEST) / SCRAPE_SECONDS))[:, :1]


def measured(trial: OptimizationTrial, random: np.random.Generator, cost: float) -> Arms:
    """One pod whose answers cost this multiple in the periods with the change."""
    noise = noise_of(random)
    begin = round(RUN_IN_SECONDS / SCRAPE_SECONDS)
    for period in range(2 * PAIRS):
        if has_change(trial.metadata.uid, period):
            first, last = (begin + round((number * PERIOD) / SCRAPE_SECONDS) for number in (period, period + 1))
            noise[first:last, 0, 2] *= cost
    return in_slots(noise, trial_time.short_slot(SCRAPE_SECONDS), NOW - RUN_IN_SECONDS)


def run(number: int, random: np.random.Generator, cost: float) -> Judgement:
    """Run one trial, look by look."""
    trial = a_switchback(number)
    arms = measured(trial, random, cost)
    for due in look_times(RULES):
        look = look_at(due, RULES)
        seen = Arms(
            slot_seconds=arms.slot_seconds,
            canary=arms.canary,
            stable=(),
            slots=arms.slots,
            distributions={},
            since=NOW,
            periods=measured_periods(trial, SCRAPE_SECONDS, NOW + due),
        )
        times = times_at(look, RULES, NOW - RUN_IN_SECONDS, NOW - 20.0, NOW)
        comparison = compare_periods(
            seen, times, now=NOW + due, goal=Goal.MINIMIZE_COST, objectives=GUARDED, confidence=look.confidence
        )
        judgement = judge(comparison, RULES, look)
        if judgement.verdict is not None:
            return judgement
    raise AssertionError("the last look gave no verdict")


def is_aborted_at_once(number: int, random: np.random.Generator, objectives: Objectives) -> bool:
    """Whether a trial of equal settings is ended by what two scrapes show, asked at every scrape with the change."""
    trial, noise = a_switchback(number), noise_of(random)
    arms = in_slots(noise, trial_time.short_slot(SCRAPE_SECONDS), NOW - RUN_IN_SECONDS)
    for now in np.arange(NOW + SCRAPE_SECONDS, NOW + LONGEST, SCRAPE_SECONDS):
        in_force = in_force_at(trial.metadata.uid, float(now))
        if in_force is None or now - in_force < 2.0 * SCRAPE_SECONDS:
            continue
        recent = of_last_scrapes(noise, in_force, float(now), NOW - RUN_IN_SECONDS)
        periods = measured_periods(trial, SCRAPE_SECONDS, float(now))
        if sudden_breach_by_turns(replace(arms, periods=periods, recent=recent), objectives) is not None:
            return True
    return False


def in_force_at(uid: str, now: float) -> float | None:
    """Since when the pod runs with the change; None where it has its old settings."""
    number = int((now - NOW) // PERIOD)
    if not has_change(uid, number):
        return None
    first = number - 1 if number > 0 and has_change(uid, number - 1) else number
    return NOW + first * PERIOD + TAKEN_SECONDS


def verdicts(cost: float, seed: int) -> Counter[Verdict | None]:
    random = np.random.default_rng(seed)
    judgements = [run(number, random, cost) for number in range(TRIALS)]
    found = Counter(each.verdict for each in judgements)
    violations = sum(each.violation for each in judgements)
    print(f"by turns, a change that costs {cost:.2f} times as much: {dict(found)}, {violations} by a guard")
    return found


def test_of_400_switchbacks_of_equal_settings_at_most_one_in_a_hundred_is_called_improved() -> None:
    assert verdicts(1.0, seed=4)[Verdict.IMPROVED] <= TRIALS // 100


def test_of_400_switchbacks_of_equal_settings_at_most_one_in_twenty_is_called_regressed() -> None:
    """Guards among them: this pod refuses requests in some minutes and not in others."""
    assert verdicts(1.0, seed=4)[Verdict.REGRESSED] <= TRIALS // 20


def test_of_400_switchbacks_to_settings_that_cost_30_percent_more_none_is_promoted() -> None:
    assert verdicts(1.3, seed=5)[Verdict.IMPROVED] == 0


def test_of_400_switchbacks_to_settings_that_are_30_percent_better_four_in_five_are_promoted() -> None:
    assert verdicts(1.0 / 1.3, seed=6)[Verdict.IMPROVED] >= 0.8 * TRIALS


@pytest.mark.parametrize("allowed", ["0.01", "0.25"])
def test_of_400_switchbacks_of_equal_settings_at_most_one_in_a_hundred_is_aborted_at_once(allowed: str) -> None:
    random, objectives = np.random.default_rng(202), Objectives.model_validate({"errorRatio": {"max": allowed}})
    aborted = sum(is_aborted_at_once(number, random, objectives) for number in range(TRIALS))
    print(f"of {TRIALS} switchbacks of equal settings that may refuse {allowed}, {aborted} were aborted at once")
    assert aborted <= TRIALS // 100
