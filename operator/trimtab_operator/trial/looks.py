"""When a trial is judged: after its window, then after 2, 4, 8 … windows, and for the last time after maxWindow.

A group sequential test: a whole search may promote one of its trials by chance with the probability SEARCH_ERROR, which
its trials share evenly and the looks of a trial by how much of maxWindow each adds (an error-spending function that is
linear in time: K. K. G. Lan and D. L. DeMets, 1983). What the looks spend is added up as if they were exclusive, which
holds however they depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_api.trial_rules import TrialRules
from trimtab_operator.analysis import trial_time

SEARCH_ERROR = 0.01  # one-sided: equal arms are called better


@dataclass(frozen=True)
class Look:
    """The newest look whose time has come: its number from 1 (0: none yet), of how many, and how much was measured.

    `error` is the probability, spent by this look, that it calls equal arms better; worse likewise.
    """

    number: int
    of: int
    seconds: float
    error: float

    @property
    def last(self) -> bool:
        """Whether the trial ends with this look."""
        return self.number == self.of

    @property
    def confidence(self) -> float:
        """Confidence of the two-sided intervals of this look."""
        return 1.0 - 2.0 * self.error


def look_times(rules: TrialRules) -> tuple[float, ...]:
    """Return after how many seconds of measurement each look is due."""
    times, due, longest = [], trial_time.window(rules), trial_time.longest_window(rules)
    while due < longest:
        times.append(due)
        due *= 2.0
    return (*times, longest)


def look_at(elapsed: float, rules: TrialRules) -> Look:
    """Return the newest look that is due; before the first, one of number 0 over what was measured so far."""
    times = look_times(rules)
    number = sum(elapsed >= due for due in times)
    seconds = times[number - 1] if number else elapsed
    adds = seconds - times[number - 2] if number > 1 else times[0]
    return Look(number, len(times), seconds, SEARCH_ERROR / max(1, rules.max_trials) * adds / times[-1])


def last_look(rules: TrialRules) -> Look:
    """Return the look with which a trial ends at the latest."""
    return look_at(trial_time.longest_window(rules), rules)
