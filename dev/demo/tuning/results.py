"""What came of an act, and whether it shows what the demo claims. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dev.demo.plan import DemoPlan
from dev.demo.tuning.gate import Gate
from dev.demo.tuning.plan import TuningPlan
from dev.demo.tuning.trials import TrialSight
from dev.demo.tuning.windows import Measured

GOODPUT_NOISE = 0.02
"""Of what was offered: where almost nothing is in time, a ratio of goodputs that differ by less is noise."""


@dataclass(frozen=True)
class ActResult:
    """Two windows of one unbroken load, and what was done between them; times from the policy on, in seconds."""

    name: str
    before: Measured
    after: Measured
    trials: tuple[TrialSight, ...] = ()
    first_verdict_seconds: float | None = None
    progressing: str = ""
    gate: Gate | None = None

    @property
    def promoted(self) -> tuple[TrialSight, ...]:
        """The trials whose change was kept."""
        return tuple(trial for trial in self.trials if trial.promoted)

    @property
    def goodput_gain(self) -> float:
        """Goodput after as a multiple of that before; 1 where they differ by noise, infinite where there was none."""
        before, after = (each.load.goodput_per_second for each in (self.before, self.after))
        return 1.0 if abs(after - before) <= self.goodput_noise_per_second else _ratio(after, before)

    @property
    def goodput_noise_per_second(self) -> float:
        """By how much two goodputs may differ and say nothing."""
        return GOODPUT_NOISE * self.before.load.offered_per_second

    @property
    def p95_gain(self) -> float:
        """How many times shorter p95 is after; 0 where it is not known."""
        before, after = self.before.load.p95_latency_seconds, self.after.load.p95_latency_seconds
        return 0.0 if before is None or after is None else _ratio(before, after)


def _ratio(upper: float, lower: float) -> float:
    if lower > 0:
        return upper / lower
    return math.inf if upper > 0 else 1.0


def cost_per_thousand(demo: DemoPlan, tuning: TuningPlan, measured: Measured) -> float | None:
    """Return USD for a thousand ok answers of a window; None when there was none."""
    load = measured.load
    if load.answered == 0:
        return None
    hours = tuning.replicas * load.duration_seconds / 3600
    return hours * demo.replica_hour() / load.answered * 1000


def tuning_problems(tuning: TuningPlan, result: ActResult) -> tuple[str, ...]:
    """Return why the second act failed, one sentence each; empty when it shows what it claims."""
    found = []
    if not result.promoted:
        found.append(f"no trial was promoted; the policy says: {result.progressing or 'nothing'}")
    if max(result.goodput_gain, result.p95_gain) < tuning.gain:
        found.append(
            f"tuning improved goodput {gain(result.goodput_gain)} and p95 {gain(result.p95_gain)}: neither reaches "
            f"{tuning.gain} times"
        )
    seconds = result.first_verdict_seconds
    if seconds is None:
        found.append("there was no verdict on any trial")
    elif seconds > tuning.verdict_seconds:
        found.append(f"the first verdict took {seconds:.0f} s, above {tuning.verdict_seconds:.0f} s")
    return tuple(found)


def gain(factor: float) -> str:
    """Write a factor."""
    return "from nothing" if math.isinf(factor) else f"x {factor:.2f}"
