"""How the canary did beside the stable arm: the goal's effect, the guards, the load. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_api.findings import Measure


@dataclass(frozen=True)
class NotMeasured:
    """Why there is no number; `passing` says that more time may give one."""

    reason: str
    passing: bool = False


@dataclass(frozen=True)
class Effect:
    """What the change did to the goal's cost, as natural logarithm of a ratio: below 0 is better.

    `what` names the cost; `of_capacity` says that it is the inverse of capacity. `slots` and `run_in_slots` are the
    pairs of slots behind it, 0 where it rests on counts of requests; `pairs` are those of periods, in a switchback. No
    measurement, however long, makes the interval narrower than `least_half_width` on either side.
    """

    what: str
    of_capacity: bool
    log_ratio: float
    low: float
    high: float
    slots: int = 0
    run_in_slots: int = 0
    pairs: int = 0
    least_half_width: float = 0.0


@dataclass(frozen=True)
class GuardComparison:
    """One guard in both arms. The values and the limit are shares of requests that are late, fail or do not satisfy.

    For GPU memory they are shares of the memory.

    `chance` is the probability that equal arms differ so much in this direction at one look; `worse` says that the
    difference is beyond doubt, however often one looks, and large enough to matter. `samples` are the canary's
    requests, `bad` those of them that count.
    """

    name: str
    canary: float
    stable: float
    limit: float
    breached: bool
    worse: bool
    samples: float
    chance: float
    bad: float
    stable_breached: bool


@dataclass(frozen=True)
class Beside:
    """One measure in both arms over the same time; None where an arm has no data."""

    measure: Measure
    canary: float | None
    stable: float | None
    unit: str
    canary_samples: float
    stable_samples: float


@dataclass(frozen=True)
class SuddenBreach:
    """A guard that the canary suddenly breaks, and every measure of both arms in the two scrapes that tell it."""

    guard: GuardComparison
    beside: tuple[Beside, ...]


@dataclass(frozen=True)
class Comparison:
    """Both arms over the measured slots up to the look; guards up to now.

    `canary_load_ratio` and `load_ratio` are the mean use of the canary's and of the busier arm's devices;
    `request_share_ratio` is the canary's part of the requests that ended over its fair part (by pods). None where not
    measured.
    """

    goal: Effect | NotMeasured
    canary_load_ratio: float | None
    load_ratio: float | None
    canary_requests: float
    stable_requests: float
    request_share_ratio: float | None
    guards: tuple[GuardComparison, ...]
    beside: tuple[Beside, ...]
