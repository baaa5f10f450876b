"""When requests are sent: constant, stepped and recorded rhythms as sorted tuples of seconds since the start. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from dev.load.errors import LoadError

MAX_REQUESTS = 500_000
MAX_DURATION_SECONDS = 4 * 3600.0

# A copy of a recorded arrival is moved by up to this much of replayed time, so that copies do not arrive as one burst.
COPY_SPREAD_SECONDS = 1.0


@dataclass(frozen=True)
class Step:
    """A stretch of time with a rate that is a multiple of the base rate."""

    duration_seconds: float
    factor: float


@dataclass(frozen=True)
class Schedule:
    """When each request is due, in seconds since the start, ascending."""

    arrivals_seconds: tuple[float, ...]
    duration_seconds: float

    @property
    def mean_rate(self) -> float:
        """Requests per second over the whole run."""
        return len(self.arrivals_seconds) / self.duration_seconds


def stepped(base_rate: float, steps: Sequence[Step], *, seed: int = 1) -> Schedule:
    """Draw Poisson arrivals whose rate is `base_rate` times the factor of each step; same seed, same arrivals.

    Raises LoadError when the run would be longer or larger than the bounds of this module.
    """
    duration = sum(step.duration_seconds for step in steps)
    expected = sum(base_rate * step.factor * step.duration_seconds for step in steps)
    _require_bounded(expected, duration)
    rng = random.Random(seed)
    arrivals: list[float] = []
    start = 0.0
    for step in steps:
        end = start + step.duration_seconds
        rate = base_rate * step.factor
        at = start + rng.expovariate(rate) if rate > 0 else end
        while at < end:
            arrivals.append(at)
            at += rng.expovariate(rate)
        start = end
    return Schedule(tuple(arrivals), duration)


def constant(rate: float, duration_seconds: float, *, seed: int = 1) -> Schedule:
    """Draw Poisson arrivals of one rate."""
    return stepped(rate, [Step(duration_seconds, 1.0)], seed=seed)


def replayed(
    recorded_seconds: Sequence[float], duration_seconds: float, mean_rate: float, *, seed: int = 1
) -> Schedule:
    """Scale recorded arrivals in time to `duration_seconds` and in number to `mean_rate` requests per second.

    The number is scaled by leaving out arrivals at random (same seed, same choice), which keeps the shape of the
    recording; where it holds too few, each arrival is used more than once, moved by up to a second.
    Raises LoadError for an empty recording and beyond the bounds of this module.
    """
    if len(recorded_seconds) < 2 or recorded_seconds[-1] <= recorded_seconds[0]:
        raise LoadError("the recording holds fewer than two distinct arrival times")
    wanted = round(mean_rate * duration_seconds)
    _require_bounded(wanted, duration_seconds)
    rng = random.Random(seed)
    scale = duration_seconds / (recorded_seconds[-1] - recorded_seconds[0])
    pool = [(at - recorded_seconds[0]) * scale for at in recorded_seconds]
    originals = len(pool)
    while len(pool) < wanted:
        pool.extend(min(at + rng.uniform(0, COPY_SPREAD_SECONDS), duration_seconds) for at in pool[:originals])
    return Schedule(tuple(sorted(rng.sample(pool, wanted))), duration_seconds)


def rates(schedule: Schedule, bin_seconds: float) -> tuple[float, ...]:
    """Count requests per second in each whole bin of the schedule."""
    counts = [0] * max(1, int(schedule.duration_seconds // bin_seconds))
    for at in schedule.arrivals_seconds:
        position = int(at // bin_seconds)
        if position < len(counts):
            counts[position] += 1
    return tuple(count / bin_seconds for count in counts)


def _require_bounded(requests: float, duration_seconds: float) -> None:
    if not 0 < duration_seconds <= MAX_DURATION_SECONDS:
        raise LoadError(
            f"a run of {duration_seconds:g} s is not accepted: above 0 and at most {MAX_DURATION_SECONDS:g} s"
        )
    if not 0 <= requests <= MAX_REQUESTS:
        raise LoadError(f"a run of {requests:.0f} requests is not accepted: at most {MAX_REQUESTS}")
