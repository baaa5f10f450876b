"""Both arms of the trial under way, slot by slot, from Prometheus: rebuilt whole at each tick, kept nowhere."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from trimtab_api import OptimizationTrial
from trimtab_api.trial import Arm, TrialDesign, TrialPhase, TrialStatus
from trimtab_operator.analysis import switch_schedule, trial_time
from trimtab_operator.analysis.attainment import LATENCIES
from trimtab_operator.model.arms import Arms, Period, Recent, SlotValue
from trimtab_operator.model.signals import Distribution, Signal
from trimtab_operator.observation.history import SETTLE_SECONDS, Grid
from trimtab_operator.observation.look import Look
from trimtab_operator.runtimes.table import Query

SIGNALS: Final = frozenset(
    {
        Signal.REQUESTS_PER_SECOND,
        Signal.ERRORS_PER_SECOND,
        Signal.BUSY_RATIO,
        Signal.BATCH_SIZE,
        Signal.CACHE_HIT_RATIO,
        Signal.CPU_USED_CORES,
        Signal.CPU_LIMIT_CORES,
        Signal.GPU_POWER_WATTS,
        Signal.GPU_MEMORY_USED_RATIO,
    }
)
DURATIONS: Final = frozenset(LATENCIES.values())
COUNTED: Final = frozenset({Signal.REQUESTS_PER_SECOND, Signal.ERRORS_PER_SECOND})
RECENT_SCRAPES: Final = 2  # the fewest between which something is counted
UNDER_WAY: Final = (
    TrialPhase.RUN_IN,
    TrialPhase.STARTING,
    TrialPhase.SHADOW,
    TrialPhase.MEASURING,
    TrialPhase.ROLLING_OUT,
    TrialPhase.VALIDATING,
)


async def read_arms(look: Look, queries: Iterable[Query], trials: tuple[OptimizationTrial, ...]) -> Arms | None:
    """Return the arms of the newest trial; None while none is under way."""
    trial = trials[-1] if trials else None
    if trial is None or trial.status.phase not in UNDER_WAY:
        return None
    asked = tuple(queries)
    if trial.spec.design is TrialDesign.SWITCHBACK and trial.status.phase is TrialPhase.MEASURING:
        return await _by_turns(look, asked, trial)
    return await _side_by_side(look, asked, trial)


async def _side_by_side(look: Look, queries: tuple[Query, ...], trial: OptimizationTrial) -> Arms:
    """Return the pods of both arms, with the histograms since the change and before it."""
    canary, stable = _members(trial)
    slot = trial_time.slot(trial.spec.rules, look.scope.scrape_interval_seconds)
    histograms = [query for query in queries if query.kind == "histogram"]
    started = trial.status.started_at
    since = trial.status.measured_from.timestamp() if trial.status.measured_from else None
    slots, distributions, run_in, recent = await asyncio.gather(
        _all_slots(look, queries, trial, slot),
        asyncio.gather(*(look.distribution(query, span) for query in histograms if (span := _span(look, since)))),
        asyncio.gather(*(_before(look, query, trial, started) for query in histograms if started is not None)),
        _recent(look, queries, _in_force_since(trial.status)),
    )
    return Arms(
        slot_seconds=float(slot),
        canary=canary,
        stable=stable,
        slots=slots,
        distributions={each.signal: each for each in distributions},
        since=since,
        run_in={each.signal: each for each in run_in},
        recent=recent,
    )


def _in_force_since(status: TrialStatus) -> float | None:
    """Return since when the canary runs with the change (unix seconds); in a rollout, since it was measured."""
    if status.phase is TrialPhase.MEASURING:
        return status.changed_at.timestamp() if status.changed_at else None
    if status.phase in (TrialPhase.ROLLING_OUT, TrialPhase.VALIDATING):
        return status.measured_from.timestamp() if status.measured_from else None
    return None


async def _recent(look: Look, queries: tuple[Query, ...], in_force_at: float | None) -> Recent | None:
    """Return what the last two scrapes counted, once both lie after the moment from which the change is in force."""
    end, seconds = look.scope.now, RECENT_SCRAPES * look.scope.scrape_interval_seconds
    if in_force_at is None or end - in_force_at < seconds:
        return None
    rates, distributions = await asyncio.gather(
        asyncio.gather(*(look.reading(query, seconds) for query in queries if query.signal in COUNTED)),
        asyncio.gather(*(look.distribution(query, seconds) for query in queries if query.signal in DURATIONS)),
    )
    return Recent(
        in_force_at=in_force_at,
        begin=end - seconds,
        end=end,
        rates={each.signal: each.by_pod for each in rates},
        distributions={each.signal: each for each in distributions},
    )


async def _by_turns(look: Look, queries: tuple[Query, ...], trial: OptimizationTrial) -> Arms:
    """Return the one pod of a switchback, with the durations of requests period by period."""
    scrape = look.scope.scrape_interval_seconds
    slot = trial_time.short_slot(scrape)
    durations = tuple(query for query in queries if query.signal in DURATIONS)
    (pod,) = trial.spec.pods
    periods = switch_schedule.measured_periods(trial, scrape, look.scope.now - SETTLE_SECONDS)
    slots, measured, recent = await asyncio.gather(
        _all_slots(look, queries, trial, slot),
        asyncio.gather(*(_with_durations(look, durations, pod.name, period) for period in periods)),
        _recent(look, queries, switch_schedule.in_force_since(trial.status)),
    )
    return Arms(
        slot_seconds=float(slot),
        canary=(pod.name,),
        stable=(),
        slots=slots,
        distributions={},
        since=trial.status.measured_from.timestamp() if trial.status.measured_from else None,
        periods=tuple(measured),
        recent=recent,
    )


async def _with_durations(look: Look, queries: tuple[Query, ...], pod: str, period: Period) -> Period:
    found = await asyncio.gather(*(look.past_distribution(query, period.begin, period.end) for query in queries))
    of_pod = (replace(each, by_pod={name: own for name, own in each.by_pod.items() if name == pod}) for each in found)
    return replace(period, distributions={each.signal: each for each in of_pod})


async def _all_slots(
    look: Look, queries: tuple[Query, ...], trial: OptimizationTrial, slot: int
) -> dict[Signal, dict[str, tuple[SlotValue, ...]]]:
    """Return the slots of every pod of the trial, by signal."""
    wanted = [query for query in queries if query.signal in SIGNALS]
    lookback = trial_time.lookback(trial.spec.rules, trial.spec.change.knob)
    grids = await asyncio.gather(*(_grid(look, query, lookback, slot) for query in wanted))
    names = [pod.name for pod in trial.spec.pods]
    return {query.signal: _slots(grid, look.scope.namespace, names) for query, grid in zip(wanted, grids, strict=True)}


def _members(trial: OptimizationTrial) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the pods with the change and those without; before it, the arms as they were chosen."""
    changed = set(trial.status.changed) or {pod.uid for pod in trial.spec.pods if pod.arm is Arm.CANARY}
    return (
        tuple(pod.name for pod in trial.spec.pods if pod.uid in changed),
        tuple(pod.name for pod in trial.spec.pods if pod.uid not in changed),
    )


def _span(look: Look, since: float | None) -> float:
    """Return the seconds measured so far, in whole scrapes; 0 while they hold fewer than two."""
    if since is None:
        return 0.0
    scrape = look.scope.scrape_interval_seconds
    seconds = (look.scope.now - since) // scrape * scrape
    return seconds if seconds >= 2.0 * scrape else 0.0


async def _before(look: Look, query: Query, trial: OptimizationTrial, started: datetime) -> Distribution:
    """Return a histogram over the window before the change."""
    return await look.distribution(query, trial_time.window(trial.spec.rules), started.timestamp())


async def _grid(look: Look, query: Query, lookback: int, slot: int) -> Grid:
    """Return the slots; a window reaches back one scrape more, for the increase between two slots belongs to one."""
    return await look.grid(query, look.text(query, slot + look.scope.scrape_interval_seconds), lookback, slot)


def _slots(grid: Grid, namespace: str, names: Iterable[str]) -> dict[str, tuple[SlotValue, ...]]:
    found: dict[str, tuple[SlotValue, ...]] = {}
    for name in names:
        row = grid.rows.get((namespace, name))
        if row is not None:
            found[name] = tuple(
                SlotValue(float(at), value) for at, value in zip(grid.times, row, strict=True) if not math.isnan(value)
            )
    return found
