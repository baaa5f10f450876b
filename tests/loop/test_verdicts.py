"""Hundreds of trials on the noise of the real engine: equal arms seldom promoted, worse ones never, better ones mostly.

The recording holds pods with equal settings near saturation, one row for each scrape (record_noise.py). A trial takes
blocks of it, whole minutes of all pods at once: what the minutes do to all pods and how neighbours in time are alike
stays as it was. The canary's busy seconds are scaled from the change on; everything else is as in the product, look
by look.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np

from trimtab_api.policy_spec import Goal, TrialRules
from trimtab_api.trial import Verdict
from trimtab_operator.analysis import trial_time
from trimtab_operator.analysis.comparison import compare
from trimtab_operator.analysis.statistics import overdispersion
from trimtab_operator.model.arms import Arms, SlotValue
from trimtab_operator.model.signals import Signal
from trimtab_operator.trial.judge import judge
from trimtab_operator.trial.looks import look_at, look_times
from trimtab_operator.trial.times import long_enough, times_at

RECORDING = Path(__file__).parent / "data" / "engine_noise.csv.gz"
SCRAPE_SECONDS = 5.0
BLOCK_SCRAPES = 12
TRIALS = 400
START = 1_800_000_000.0
RULES = TrialRules(window="60s", max_window="5m", min_requests=100)
GOAL = Goal.MINIMIZE_COST

Noise = np.ndarray[tuple[int, int, int], np.dtype[np.float64]]
"""By scrape, pod and column: requests, errors, busy seconds, each per second."""


@lru_cache(maxsize=1)
def recording() -> Noise:
    """Read the recording: the scrapes at which every pod has a row, oldest first."""
    with gzip.open(RECORDING, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    pods = sorted({row["pod"] for row in rows})
    table: dict[int, list[tuple[float, ...]]] = {}
    for pod in pods:
        for scrape, rates in of_pod([row for row in rows if row["pod"] == pod]):
            table.setdefault(scrape, []).append(rates)
    return np.array([table[scrape] for scrape in sorted(table) if len(table[scrape]) == len(pods)])


def of_pod(rows: list[dict[str, str]]) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Yield number of the scrape and rates; each pod is scraped at a moment of its own within the interval."""
    times = [float(row["at_seconds"]) for row in rows]
    phase = times[0] % SCRAPE_SECONDS
    for row, before, at in zip(rows[1:], times, times[1:], strict=False):
        rates = tuple(float(row[name]) / (at - before) for name in ("requests", "errors", "busy_seconds"))
        yield round((at - phase) / SCRAPE_SECONDS), rates


def resampled(random: np.random.Generator, scrapes: int) -> Noise:
    """Put blocks of the recording together; pods change places, so that each is the canary equally often."""
    noise = recording()
    starts = random.integers(0, len(noise) - BLOCK_SCRAPES + 1, size=-(-scrapes // BLOCK_SCRAPES))
    order = random.permutation(noise.shape[1])
    return np.concatenate([noise[start : start + BLOCK_SCRAPES] for start in starts])[:scrapes, order]


def in_slots(noise: Noise, slot_seconds: int, first_at: float) -> Arms:
    """Cut scrapes to slots, as Prometheus would: the mean rate of each slot."""
    size = round(slot_seconds / SCRAPE_SECONDS)
    slots = len(noise) // size
    means = noise[: slots * size].reshape(slots, size, *noise.shape[1:]).mean(axis=1)
    ends = [first_at + (number + 1) * slot_seconds for number in range(slots)]
    names = tuple(f"pod-{number}" for number in range(noise.shape[1]))
    return Arms(
        slot_seconds=float(slot_seconds),
        canary=names[:1],
        stable=names[1:],
        slots={
            signal: {
                name: tuple(SlotValue(at, float(value)) for at, value in zip(ends, means[:, pod, column], strict=True))
                for pod, name in enumerate(names)
            }
            for column, signal in enumerate((Signal.REQUESTS_PER_SECOND, Signal.ERRORS_PER_SECOND, Signal.BUSY_RATIO))
        },
        distributions={},
        since=None,
    )


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
