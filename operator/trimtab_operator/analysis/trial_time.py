"""The times of a trial, each from its rules and the scrape interval: slots, settling, run-in, expiry. Seconds."""

from __future__ import annotations

from trimtab_api.engine_knobs import ENGINE_KNOBS, ChangeCost, Knob
from trimtab_api.quantities import parse_duration_seconds
from trimtab_api.trial_rules import TrialRules

FEWEST_SCRAPES = 8  # a trial window below that rests on too few samples
SLOTS_PER_WINDOW = 6
SLOT_LENGTHS = (5, 10, 15, 30, 60, 120, 300, 600, 900)
LEAST_SETTLING = 10.0
WARMING_SHARE = 0.5
START_LIMIT = 120.0  # an engine that has not answered by then does not start the change
SLOW_START_LIMIT = 1200.0  # a format is searched, checked and swapped in minutes; beyond that it is stuck
MARGIN = 60.0


def window(rules: TrialRules) -> float:
    """Return how long both arms are measured before the first look; the run-in takes as long at least."""
    return parse_duration_seconds(rules.window)


def longest_window(rules: TrialRules) -> float:
    """Return after what time a trial without an answer ends."""
    return parse_duration_seconds(rules.max_window)


def longest_run_in(rules: TrialRules) -> float:
    """Return after what time the run-in ends at the latest: the longest measurement, after a window to get warm."""
    return longest_window(rules) + window(rules)


def slot(rules: TrialRules, scrape: float) -> int:
    """Return the length of a slot: a sixth of the window, and at least two scrapes."""
    return _slot_of(max(window(rules) / SLOTS_PER_WINDOW, 2.0 * scrape))


def short_slot(scrape: float) -> int:
    """Return the length of a slot of a switchback, whose periods are short: at least two scrapes."""
    return _slot_of(2.0 * scrape)


def _slot_of(wanted: float) -> int:
    return next((length for length in SLOT_LENGTHS if length >= wanted), SLOT_LENGTHS[-1])


def settling(scrape: float) -> float:
    """Return what is left out after a change: the scrapes that straddle it, and a queue that drains."""
    return max(LEAST_SETTLING, 2.0 * scrape)


def warming(rules: TrialRules, seconds: float) -> float:
    """Return what is left out at the begin of so many seconds that may have begun with cold caches.

    At most a window, and half of what goes beyond the first window. It is not chosen by what was measured: that would
    favour chance.
    """
    beyond = max(0.0, seconds - window(rules))
    return min(window(rules), WARMING_SHARE * beyond)


def start_limit(knob: Knob) -> float:
    """Return how long an engine may take to put a change of this knob in force."""
    return START_LIMIT if ENGINE_KNOBS[knob].cost is ChangeCost.HOT else SLOW_START_LIMIT


def expiry(rules: TrialRules, scrape: float, knob: Knob) -> float:
    """Return after what time an engine under trial goes back by itself."""
    return start_limit(knob) + settling(scrape) + longest_window(rules) + MARGIN


def lookback(rules: TrialRules, knob: Knob) -> int:
    """Return how far back the slots of a trial reach: run-in, start and the longest measurement."""
    return round(longest_run_in(rules) + start_limit(knob) + longest_window(rules) + MARGIN)


def too_short(rules: TrialRules, scrape: float) -> str | None:
    """Say why the window is refused; None where it is long enough."""
    if window(rules) >= FEWEST_SCRAPES * scrape:
        return None
    return (
        f"spec.trial.window is {rules.window}, less than {FEWEST_SCRAPES} scrapes of {scrape:g} s: "
        f"set it to {FEWEST_SCRAPES * scrape:g}s or more, or scrape more often"
    )
