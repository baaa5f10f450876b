"""What one run is asked to do, and how it is put together from the other files: the door of this package for Python."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dev.load.addresses import Target, resolve
from dev.load.arrivals import Schedule, Step, constant, replayed, stepped
from dev.load.calibrate import Capacity, measure_capacity
from dev.load.errors import LoadError
from dev.load.outcomes import Run
from dev.load.pool import Pool, PoolLimits
from dev.load.recordings import recorded_arrivals, recorded_keys
from dev.load.replay import Exchange, Progress, Replay, ReplayLimits
from dev.load.requests import Protocol, request_bytes
from dev.load.sentences import sentences, spoken
from dev.load.verify import learn

# Enough for a calibration of some seconds; a faster server sees them again from the beginning.
CALIBRATION_REQUESTS = 2_000
FEW_SENTENCES = 200
"""So many are sent in turn: at tens a second each of them comes again within seconds."""


class Mode(StrEnum):
    """The rhythm of a run."""

    CONSTANT = "constant"
    STEP = "step"
    TRACE = "trace"


class Keys(StrEnum):
    """Which sentences are sent: with the repetitions of a recorded cache, all different, or the same few in turn."""

    TRACE = "trace"
    DISTINCT = "distinct"
    FEW = "few"


@dataclass(frozen=True)
class LoadPlan:
    """Everything that defines a run; equal plans send equal requests at equal times.

    `rate` is in requests per second: of the whole run (constant), of a factor of 1 (step), the mean (trace).
    `sentences` is how many an input is made of.
    """

    url: str
    model: str = "all-MiniLM-L6-v2"
    mode: Mode = Mode.CONSTANT
    rate: float = 10.0
    duration_seconds: float = 60.0
    steps: tuple[Step, ...] = ()
    keys: Keys = Keys.TRACE
    key_offset: int = 0
    sentences: int = 1
    protocol: Protocol = Protocol.EMBEDDINGS
    objective_seconds: float = 0.5
    timeout_seconds: float = 10.0
    connections: int = 32
    connection_lifetime_seconds: float = 4.0
    seed: int = 1
    verify: bool = False


def schedule_of(plan: LoadPlan) -> Schedule:
    """Return the arrival times of a plan; raises LoadError when they are out of bounds or steps are missing."""
    if plan.mode is Mode.TRACE:
        return replayed(recorded_arrivals(), plan.duration_seconds, plan.rate, seed=plan.seed)
    if plan.mode is Mode.CONSTANT:
        return constant(plan.rate, plan.duration_seconds, seed=plan.seed)
    if not plan.steps:
        raise LoadError("--steps: mode step needs at least one seconds:factor pair, for example 60:1,60:2,60:0.25")
    return stepped(plan.rate, plan.steps, seed=plan.seed)


def inputs_of(plan: LoadPlan, count: int) -> tuple[str, ...]:
    """Return the inputs of the first `count` requests of a plan, in the order in which they are sent.

    A run beyond the end of the recorded keys starts them again with other sentences: it repeats as they do, and no
    cache profits from their being replayed.
    """
    positions = range(plan.key_offset, plan.key_offset + count)
    numbers, length = _NUMBERS[plan.keys](positions), plan.sentences
    texts = spoken([number * length + part for number in numbers for part in range(length)], sentences())
    return tuple(" ".join(texts[place * length :][:length]) for place in range(count))


def _recorded(positions: range) -> list[int]:
    recorded = recorded_keys()
    different = max(recorded) + 1
    laps = (divmod(position, len(recorded)) for position in positions)
    return [recorded[place] + lap * different for lap, place in laps]


_NUMBERS: dict[Keys, Callable[[range], Sequence[int]]] = {
    Keys.TRACE: _recorded,
    Keys.DISTINCT: lambda positions: positions,
    Keys.FEW: lambda positions: [position % FEW_SENTENCES for position in positions],
}
"""Which sentence stands at each position of a run."""


async def run_plan(
    plan: LoadPlan,
    *,
    progress: Progress | None = None,
    every_seconds: float = 1.0,
    stop: asyncio.Event | None = None,
) -> Run:
    """Run a plan to its end, or until `stop` is set; raises LoadError when it cannot be started."""
    target = resolve(plan.url)
    schedule = schedule_of(plan)
    exchanges = _exchanges(plan, target, len(schedule.arrivals_seconds))
    async with Pool(target, _pool_limits(plan), seed=plan.seed) as pool:
        check = None
        if plan.verify:
            spoken_once = (exchange.sentence for exchange in exchanges)
            check = await learn(pool, target, plan.protocol, plan.model, spoken_once)
        replay = Replay(pool, ReplayLimits(timeout_seconds=plan.timeout_seconds), check)
        stopping = None if stop is None else asyncio.create_task(_stop(replay, stop))
        try:
            return await replay.run(schedule, exchanges, progress=progress, every_seconds=every_seconds)
        finally:
            if stopping is not None:
                stopping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await stopping


async def calibrate(plan: LoadPlan, *, seconds: float = 8.0, callers: int = 16, warm_seconds: float = 2.0) -> Capacity:
    """Measure the capacity of what serves at the plan's address, with the first requests of the plan.

    They leave the server's cache warm: restart it before a run that is to be compared.
    Raises LoadError when nothing is answered.
    """
    target = resolve(plan.url)
    exchanges = _exchanges(plan, target, CALIBRATION_REQUESTS)
    async with Pool(target, _pool_limits(plan), seed=plan.seed) as pool:
        return await measure_capacity(pool, exchanges, seconds=seconds, callers=callers, warm_seconds=warm_seconds)


def _pool_limits(plan: LoadPlan) -> PoolLimits:
    return PoolLimits(idle=plan.connections, lifetime_seconds=plan.connection_lifetime_seconds)


async def _stop(replay: Replay, stop: asyncio.Event) -> None:
    await stop.wait()
    replay.stop()


def _exchanges(plan: LoadPlan, target: Target, count: int) -> list[Exchange]:
    inputs = inputs_of(plan, count)
    requests = {text: request_bytes(target, plan.protocol, plan.model, text) for text in set(inputs)}
    return [Exchange(text, requests[text]) for text in inputs]
