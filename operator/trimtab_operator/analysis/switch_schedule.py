"""The schedule of a switchback: how long a period is, which of them have the change, and what of each is measured.

Two periods are a pair, one with the change and one without it, in an order that is drawn for each pair from a hash of
the trial's uid. So the arms are balanced, no setting lasts longer than two periods, and whoever knows the trial knows
its schedule. What is measured of a period are the whole slots after the engine took its settings and settled.
"""

from __future__ import annotations

import math
from hashlib import sha256

from trimtab_api.trial import MAX_PERIODS, Arm, OptimizationTrial, TrialPeriod, TrialStatus
from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis.trial_time import longest_window, settling, short_slot, window
from trimtab_operator.model.arms import Period

PERIOD_SECONDS = 60.0
WANTED_PAIRS = 10  # where that would take longer than maxWindow, periods are shorter
LEAST_PAIRS = 5
TICK_SECONDS = 5.0  # the time of a tick is cut to that, so what it saw happened up to so much later
TAKING_SECONDS = 5.0  # from the start of a period until the engine has reported, as a rule


def period_seconds(rules: TrialRules, scrape: float) -> int:
    """Return the length of a period, in whole slots; `scrape` is the time between two scrapes, seconds."""
    slot, longest = short_slot(scrape), longest_window(rules)
    wanted = max(min(PERIOD_SECONDS, longest / (2 * WANTED_PAIRS)), longest / MAX_PERIODS)
    return max(math.ceil(wanted / slot) * slot, _left_out(scrape) + slot)


def pairs(rules: TrialRules, period: int) -> int:
    """Return how many pairs of periods of so many seconds fit in the longest window."""
    return int(longest_window(rules) // (2 * period))


def measured_seconds(rules: TrialRules, scrape: float) -> float:
    """Return how long each arm is measured in the longest window."""
    period = period_seconds(rules, scrape)
    return float(pairs(rules, period) * (period - _left_out(scrape)))


def too_few_pairs(rules: TrialRules, scrape: float) -> str | None:
    """Say why the longest window is refused for a switchback; None where it is long enough."""
    if pairs(rules, period_seconds(rules, scrape)) >= LEAST_PAIRS:
        return None
    needed = 2 * LEAST_PAIRS * (_left_out(scrape) + short_slot(scrape))
    return (
        f"spec.trial.maxWindow is {rules.max_window}; on one replica old and new settings take turns, and "
        f"{LEAST_PAIRS} turns of each take {needed:g} s with scrapes of {scrape:g} s: set it to {needed:g}s or more"
    )


def has_change(uid: str, number: int) -> bool:
    """Tell whether the period of this number, from 0, has the change; `uid` is the trial's."""
    draw = sha256(f"{uid}/{number // 2}".encode()).digest()[0] & 1
    return number % 2 == draw


def number_at(elapsed: float, period: int) -> int:
    """Return the number of the period (its length in seconds) so long after the first began, before that the first."""
    return max(0, int(elapsed // period))


def in_force_since(status: TrialStatus) -> float | None:
    """Return since when (unix seconds) the pod was seen to run with the change without a break; None where it is not.

    Before the first period it was seen to since it was asked for the last time, and later since that was noted.
    """
    if not status.changed or status.changed_at is None or status.measured_from is None:
        return None
    if status.changed_at < status.measured_from:
        return status.changed_at.timestamp()
    noted = (period.from_ for period in status.periods if period.from_ >= status.changed_at)
    return next((at.timestamp() for at in noted), None)


def measured_periods(trial: OptimizationTrial, scrape: float, stored_until: float) -> tuple[Period, ...]:
    """Return what can be measured by now of the trial's periods, and of as long stretches of its run-in, oldest first.

    `stored_until` (unix seconds) is the time up to which Prometheus has everything.
    """
    status, length = trial.status, trial.status.period_seconds
    if status.measured_from is None or status.started_at is None or length is None:
        return ()
    until = stored_until // short_slot(scrape) * short_slot(scrape)
    origin = status.measured_from.timestamp()
    seen = (_of_period(each, origin, length, scrape, until) for each in status.periods)
    return (
        *_of_run_in(status.started_at.timestamp(), int(window(trial.spec.rules) // length), length, scrape),
        *(each for each in seen if each.end > each.begin),
    )


def _of_period(seen: TrialPeriod, origin: float, length: int, scrape: float, until: float) -> Period:
    slot, number = short_slot(scrape), number_at(seen.from_.timestamp() - origin, length)
    begin = math.ceil((seen.from_.timestamp() + TICK_SECONDS + settling(scrape)) / slot) * slot
    end = origin + (number + 1) * length
    return Period(number, seen.arm is Arm.CANARY, begin, min(end, until), over=end <= until)


def _of_run_in(started: float, count: int, length: int, scrape: float) -> tuple[Period, ...]:
    last, measured = started // short_slot(scrape) * short_slot(scrape), length - _left_out(scrape)
    ends = ((number, last + (number + 1) * length) for number in range(-count, 0))
    return tuple(Period(number, changed=False, begin=end - measured, end=end, over=True) for number, end in ends)


def _left_out(scrape: float) -> int:
    """Return what is not measured at the start of a period, in whole slots."""
    slot = short_slot(scrape)
    return math.ceil((TAKING_SECONDS + TICK_SECONDS + settling(scrape)) / slot) * slot
