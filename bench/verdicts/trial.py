"""One trial, from its run-in to its verdict, judged by the operator's own functions at the operator's own times."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from bench.verdicts.production import SCRAPE_SECONDS, SLOT_SECONDS, START, Course, Fleet, Played, play
from trimtab_api.objectives import Objectives
from trimtab_api.policy_spec import Goal
from trimtab_api.trial import Verdict
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.comparison import compare
from trimtab_operator.trial.judge import Judgement, judge
from trimtab_operator.trial.looks import Look, look_at, look_times
from trimtab_operator.trial.times import long_enough, times_at

RULES = TrialRules()
OBJECTIVES = Objectives.model_validate(
    {"timeToFirstToken": {"percentile": 95, "max": "500ms"}, "errorRatio": {"max": "0.01"}}
)
GOAL = Goal.MINIMIZE_COST
REVERTED_AT = SLOT_SECONDS  # of the trial before, seconds from START
ALIKE_FROM = REVERTED_AT + trial_time.settling(SCRAPE_SECONDS)
COLD_RATIO = 0.25  # of the trials begin with a pod, and of the changes leave a canary, whose cache is empty


@dataclass(frozen=True)
class Change:
    """What a change does to the canary, as factors of cost and lateness, and its errors over its answers."""

    cost_ratio: float = 1.0
    late_ratio: float = 1.0
    error_ratio: float = Course.error_ratio


@dataclass(frozen=True)
class Outcome:
    """How a trial ended, after how many seconds of run-in and of measurement; `aborted` by a guard."""

    verdict: Verdict
    run_in_seconds: float
    measured_seconds: float
    aborted: bool


def run_trial(random: np.random.Generator, fleet: Fleet, change: Change, *, every_tick: bool = False) -> Outcome:
    """Run a trial to its verdict; look at the guards between looks too where asked for."""
    seed, longest = int(random.integers(2**63)), trial_time.longest_window(RULES)
    ends_at = ALIKE_FROM + trial_time.longest_run_in(RULES) + longest + 4.0 * SLOT_SECONDS
    unchanged = Course(ends_at, ends_at)
    if random.random() < COLD_RATIO:
        unchanged = replace(unchanged, cold=((int(random.integers(len(fleet.offsets))), REVERTED_AT),))
    changed_at = _changed_at(play(np.random.default_rng(seed), fleet, unchanged)) + random.uniform(0.0, SCRAPE_SECONDS)
    course = replace(
        unchanged,
        changed_at=changed_at,
        cost_ratio=change.cost_ratio,
        late_ratio=change.late_ratio,
        error_ratio=change.error_ratio,
    )
    if random.random() < COLD_RATIO:
        course = replace(course, cold=(*course.cold, (0, changed_at)))
    played = play(np.random.default_rng(seed), fleet, course)
    return _judged(played, changed_at, SLOT_SECONDS / 2.0 if every_tick else math.inf)


def _changed_at(played: Played) -> float:
    """Return when the operator would begin the change, seconds from START; asked whenever a slot is complete."""
    now = SLOT_SECONDS * math.ceil((ALIKE_FROM + trial_time.window(RULES)) / SLOT_SECONDS)
    while not long_enough(RULES, played.arms(START, START, START + now), GOAL, START + ALIKE_FROM, START + now):
        now += SLOT_SECONDS
    return now


def _judged(played: Played, changed_at: float, tick_seconds: float) -> Outcome:
    settled_at = math.ceil((changed_at + trial_time.settling(SCRAPE_SECONDS)) / SLOT_SECONDS) * SLOT_SECONDS
    run_in = changed_at - ALIKE_FROM
    dues = set(look_times(RULES))
    if math.isfinite(tick_seconds):
        dues.update(np.arange(tick_seconds, max(dues), tick_seconds).tolist())
    for due in sorted(dues):
        look = look_at(due, RULES)
        look = look if look.seconds == due else replace(look, number=0, seconds=due)
        found = _at(played, changed_at, settled_at, look)
        if found.verdict is not None:
            return Outcome(found.verdict, run_in, due, found.violation)
    raise AssertionError("the last look gives a verdict")


def _at(played: Played, changed_at: float, settled_at: float, look: Look) -> Judgement:
    times = times_at(look, RULES, START + ALIKE_FROM, START + changed_at, START + settled_at)
    now = times.judged_until
    arms = played.arms(times.changed_at, times.settled_at, now, run_in_seconds=trial_time.window(RULES))
    found = compare(arms, times, now=now, goal=GOAL, objectives=OBJECTIVES, confidence=look.confidence)
    return judge(found, RULES, look)
