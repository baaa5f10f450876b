"""A sudden breach in a switchback: what its pod did in two scrapes with the change, against its periods without it.

No pod runs beside it in the same time, so what the minutes do must be kept apart otherwise. It is asked only where
hardly more requests come than in the busiest slot without the change, and where the newest period without it keeps the
guard;
the share must be twice that of the worst period (of errors: the worst slot) without the change. By how much minutes
differ by themselves is measured over these periods, as for the slower guards (switchback.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from trimtab_api.objectives import LatencyObjective, ObjectiveName, Objectives
from trimtab_api.quantities import parse_duration_seconds
from trimtab_operator.analysis.arm_slots import over_arm, within
from trimtab_operator.analysis.attainment import LATENCIES, latency_rules
from trimtab_operator.analysis.comparison import beside_errors, beside_latency
from trimtab_operator.analysis.goal_effect import late
from trimtab_operator.analysis.guard_comparison import (
    LEAST_ERRORS,
    Slots,
    bounded_shares,
    error_limit,
    error_overdispersion,
)
from trimtab_operator.analysis.statistics import Shares
from trimtab_operator.analysis.sudden_breach import (
    BURST,
    LATE_SHARE,
    compared,
    first_broken,
    waited_before_the_change,
    worst_slot,
)
from trimtab_operator.analysis.switchback import CHANGED, as_two_pods, late_in, waiting_overdispersion
from trimtab_operator.model.arms import Arms, Period, Recent
from trimtab_operator.model.comparison import Beside, GuardComparison, SuddenBreach
from trimtab_operator.model.signals import Signal

USUAL_LOAD = 1.2  # of the busiest slot without the change: more may be late or refused with any setting


@dataclass(frozen=True)
class _Turn:
    """What the pod did in two scrapes with the change, and in the periods without it: `both`, as if of two pods."""

    pod: str
    recent: Recent
    unchanged: tuple[Period, ...]
    both: Arms

    def counted(self, signal: Signal) -> float | None:
        """Count what a rate says of the two scrapes; None where it is not measured."""
        rate = self.recent.rates.get(signal, {}).get(self.pod)
        return None if rate is None else rate * (self.recent.end - self.recent.begin)

    def failures(self) -> dict[int, tuple[float, float]]:
        """Return by slot how many requests failed without the change, and of how many."""
        rates = over_arm(self.both, self.both.stable, (Signal.ERRORS_PER_SECOND, Signal.REQUESTS_PER_SECOND))
        seconds = self.both.slot_seconds
        return {slot: (failed * seconds, count * seconds) for slot, (failed, count) in rates.items()}


def sudden_breach_by_turns(arms: Arms, objectives: Objectives | None) -> SuddenBreach | None:
    """Return the first guard on durations or errors that the change suddenly breaks; None where there is none."""
    asked, recent = objectives or Objectives(), arms.recent
    unchanged = tuple(period for period in arms.periods if not period.changed)
    if recent is None or not unchanged:
        return None
    turn = _Turn(arms.canary[0], recent, unchanged, _as_two_pods(arms, recent, unchanged))
    if not _has_usual_load(turn):
        return None
    waits = (_late(turn, name, rule, waiting_overdispersion(unchanged, asked)) for name, rule in latency_rules(asked))
    found = (*waits, _failed(turn, asked))
    broken = first_broken(found)
    return None if broken is None else SuddenBreach(broken, _beside(turn))


def _as_two_pods(arms: Arms, recent: Recent, unchanged: tuple[Period, ...]) -> Arms:
    """Return all periods without the change as one pod, and the durations of the two scrapes with it as another."""
    (pod,), both = arms.canary, as_two_pods(arms, unchanged)
    durations = {}
    for signal, before in both.distributions.items():
        now = recent.distributions.get(signal)
        if now is not None and pod in now.by_pod:
            durations[signal] = replace(before, by_pod={**before.by_pod, CHANGED: now.by_pod[pod]})
    return replace(both, distributions=durations)


def _has_usual_load(turn: _Turn) -> bool:
    """Tell whether no more requests came than the pod was seen to serve without the change; not where nobody knows."""
    rates = over_arm(turn.both, turn.both.stable, (Signal.REQUESTS_PER_SECOND,)).values()
    busiest = max((rate for (rate,) in rates), default=0.0) * (turn.recent.end - turn.recent.begin)
    requests = turn.counted(Signal.REQUESTS_PER_SECOND)
    return requests is not None and requests <= USUAL_LOAD * busiest


def _late(turn: _Turn, name: ObjectiveName, rule: LatencyObjective, overdispersion: float) -> GuardComparison | None:
    limit, signal = parse_duration_seconds(rule.max), LATENCIES[name]
    after = late(turn.both, turn.both.distributions.get(signal), limit)
    if after is None or waited_before_the_change(turn.recent, limit):
        return None
    periods = tuple(late_in(period, limit, signal) for period in turn.unchanged)
    found = compared(name, after, None, 1.0 - rule.percentile / 100.0, overdispersion)
    return found if found.canary >= LATE_SHARE and _is_told(found, periods, periods) else None


def _failed(turn: _Turn, asked: Objectives) -> GuardComparison | None:
    after = _failures(turn)
    if after is None or after.bad[0] < LEAST_ERRORS:
        return None
    slots, both = turn.failures(), turn.both
    periods = tuple(_summed(within(slots, both, each.begin, each.end)) for each in turn.unchanged)
    series = tuple(slots.values())
    found = compared(ObjectiveName.ERROR_RATIO, after, None, error_limit(asked), error_overdispersion([series]))
    return found if _is_told(found, periods, series) else None


def _is_told(found: GuardComparison, periods: Slots, series: Slots) -> bool:
    """Tell whether it is far worse than all parts without the change, the newest period of which keeps the guard."""
    newest = next((bad / count for bad, count in reversed(periods) if count > 0.0), 0.0)
    return newest <= found.limit and found.canary >= BURST * worst_slot([series])


def _failures(turn: _Turn) -> Shares | None:
    """Count the requests that failed in the two scrapes and in all periods without the change; None without data."""
    failed, requests = (turn.counted(each) for each in (Signal.ERRORS_PER_SECOND, Signal.REQUESTS_PER_SECOND))
    if failed is None or requests is None:
        return None
    failed_before, requests_before = _summed(turn.failures().values())
    return bounded_shares((failed, failed_before), (requests, requests_before))


def _summed(slots: Iterable[tuple[float, float]]) -> tuple[float, float]:
    counted = tuple(slots)
    return math.fsum(bad for bad, _ in counted), math.fsum(count for _, count in counted)


def _beside(turn: _Turn) -> tuple[Beside, ...]:
    latency = beside_latency(turn.both, turn.both.distributions.get(Signal.LATENCY_SECONDS))
    return (*latency, *beside_errors(_failures(turn)))
