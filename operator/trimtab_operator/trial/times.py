"""Which time counts: when the run-in is long enough for a change to begin, and what a look compares. Unix seconds.

A pod may begin with cold caches, and so may a canary whose caches the change has emptied: what is left out for that
depends on the time alone.
"""

from __future__ import annotations

import math

from trimtab_api.policy_spec import Goal
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.goal_effect import detectable_effect
from trimtab_operator.model.arms import Arms, TrialTimes
from trimtab_operator.trial.looks import Look, last_look

DETECTABLE = math.log(1.15)  # a gain of 15 % shall not be missed for want of a run-in


def times_at(look: Look, rules: TrialRules, alike_from: float, changed_at: float, settled_at: float) -> TrialTimes:
    """Return what a look compares, given since when the arms were alike, and when the change came and had settled."""
    return TrialTimes(
        run_in_from=_run_in_from(rules, alike_from, changed_at),
        changed_at=changed_at,
        settled_at=settled_at,
        judged_from=settled_at + trial_time.warming(rules, look.seconds),
        judged_until=settled_at + look.seconds,
    )


def long_enough(rules: TrialRules, arms: Arms | None, goal: Goal, alike_from: float, now: float) -> bool:
    """Say whether the change may begin: after a window at least, after maxWindow and a window at the latest.

    In between, once the run-in lets the last look tell a gain of 15 %. A run-in of few slots is taken to vary by more
    than it shows, so that some that happen to be quiet do not begin too early.
    """
    alike = now - alike_from
    if alike < trial_time.window(rules):
        return False
    if arms is None or alike >= trial_time.longest_run_in(rules):
        return True
    last = last_look(rules)
    run_in = (_run_in_from(rules, alike_from, now), now)
    found = detectable_effect(arms, goal, run_in, int(last.seconds / arms.slot_seconds), last.confidence)
    return found is None or found <= DETECTABLE


def _run_in_from(rules: TrialRules, alike_from: float, until: float) -> float:
    longest = until - trial_time.longest_window(rules)
    return max(longest, alike_from + trial_time.warming(rules, until - alike_from))
