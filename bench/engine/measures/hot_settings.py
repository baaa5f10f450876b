"""Changes of hot settings at 80 % load: nothing dropped, reordered or mixed, and the tail of the latency."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.engine.change_seconds import Change, in_flight, of_second, tail_ratio
from bench.engine.corpus import IN_PLACE_SIGN
from bench.engine.live_engine import LiveEngine
from bench.engine.measures.gated_plan import DEPTH, MIN_ACCURACY
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.run import Run

LOAD_SHARE = 0.8
LEAST_CHANGES, LEAST_IN_FLIGHT, LEAST_ANSWERS = 100, 95, 20_000
MOST_TAIL_RATIO = 1.2
PERIOD_SECONDS = 2.05
"""Between two changes: the second after one, and a quiet second with the same settings."""
_LEAD_SECONDS = 2.0
_BLIND_RATE = 300.0
_BLIND_SECONDS = 4.0


def changes(formats: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield settings of every kind, each different from the one before.

    Batches are never smaller than those at which the capacity was measured, and the cache holds few of the inputs, so
    that 80 % stays 80 %.
    """
    choice = random.Random(4)
    last: dict[str, Any] = {}
    while True:
        settings = {
            "maxBatchSize": choice.choice((8, 12, 16, 32)),
            "maxQueueDelay": choice.choice(("0ms", "1ms", "2ms", "5ms")),
            "cacheMemory": choice.choice(("0", "16Ki", "32Ki", "64Ki")),
            "minAccuracy": str(MIN_ACCURACY),
            "quantization": choice.choice(formats),
        }
        if settings != last:
            last = settings
            yield settings


def measure(live: LiveEngine, run: Run, rate: float, formats: tuple[str, ...]) -> list[Result]:
    """Change the settings while requests come at `rate`; what the versions answer is learned. Raises BenchError."""
    planned = run.extent.changes
    seconds = _LEAD_SECONDS + planned * PERIOD_SECONDS + 2.0
    live.begin("hot", rate=rate, seconds=seconds, seed=5)
    made, end = [], time.monotonic() + seconds - 2.0
    next_at = time.monotonic() + _LEAD_SECONDS
    for number, settings in zip(range(planned), changes(formats), strict=False):
        time.sleep(max(0.0, next_at - time.monotonic()))
        if time.monotonic() > end:
            break
        answer = live.change(settings)
        made.append(Change(answer["served_at"], answer["reported_at"]))
        next_at = answer["served_at"] + PERIOD_SECONDS
        if number % 20 == 19:
            say(f"  hot settings: {number + 1} of {planned} changes")
    return rows(live.loaded(), made, run, in_place_is_seen(run))


def rows(figures: Mapping[str, Any], made: Sequence[Change], run: Run, in_place: str) -> list[Result]:
    """Return both rows; `in_place` says why the check is blind, empty where it sees a change in place."""
    scheduled, received = np.array(figures["scheduled"]), np.array(figures["received"])
    counted = [change for change in made if len(scheduled) and change.served_at + 2.0 <= scheduled[-1]]
    met = in_flight(counted, scheduled, received)
    few = why_void(len(counted), met, figures["answered"])
    late = figures["lag_p99_seconds"] or 0.0
    behind = f"the load generator was {1000 * late:.1f} ms late" if late > run.extent.most_lag_seconds else ""
    wrong = figures["dropped"] + figures["reordered"] + figures["mixed"]
    answers = Result(
        "hot settings: answers dropped or wrong",
        trimtab=wrong,
        holds=wrong == 0,
        asked="0",
        note=f"{figures['answered']} answers, {len(counted)} changes, {met} with requests in flight; dropped "
        f"{figures['dropped']}, reordered {figures['reordered']}, mixed {figures['mixed']}; closest call "
        f"{figures['closest_call']:.2f} of the way to another version",
        quick=run.quick,
        unresolved="; ".join(why for why in (few, in_place) if why),
    )
    latencies = received - scheduled
    ratio = tail_ratio(
        [of_second(change.served_at, scheduled, latencies) for change in counted],
        [of_second(change.served_at + 1.0, scheduled, latencies) for change in counted],
    )
    none = "" if ratio is not None else "no change-second has an answer"
    tail = Result(
        "hot settings: p99 after a change / quiet",
        trimtab=None if ratio is None else ratio.mean,
        ratio=ratio,
        holds=None if ratio is None else ratio.high <= MOST_TAIL_RATIO,
        asked=f"upper bound at most {MOST_TAIL_RATIO}",
        quick=run.quick,
        unresolved="; ".join(why for why in (few, behind, none) if why),
    )
    return [answers, tail]


def why_void(changed: int, met: int, answered: int) -> str:
    """Return why a run says nothing, empty where it does: too few changes, under too few requests, or answers."""
    if changed < LEAST_CHANGES or met < LEAST_IN_FLIGHT:
        return f"{changed} changes, {met} with requests in flight"
    return "" if answered >= LEAST_ANSWERS else f"{answered} answers"


def in_place_is_seen(run: Run) -> str:
    """Let a model change its weights in place under the same check. Returns why the check is blind, empty if not."""
    with LiveEngine("trivial", {"TRIMTAB_MODEL": "bench.engine.modules:changing_in_place"}, run.extent) as live:
        live.learn(DEPTH)
        live.begin("hot", rate=_BLIND_RATE, seconds=_BLIND_SECONDS, seed=6)
        time.sleep(_BLIND_SECONDS / 2)
        live.ask([IN_PLACE_SIGN, 0.0, 0.0, 0.0])
        figures = live.loaded()
    say(f"  hot settings: a change in place is seen in {figures['mixed']} of {figures['answered']} answers")
    return "" if figures["mixed"] else "the check is blind: it does not see a change in place"
