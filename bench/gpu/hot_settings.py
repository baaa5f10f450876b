"""Changes of hot settings while an engine serves from the GPU: the measure of `bench.engine`, on another device."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.engine.corpus import MINILM
from bench.engine.extent import FULL
from bench.engine.live_engine import LiveEngine
from bench.engine.measures import gated_plan, hot_settings, live_changes
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.run import Run
from bench.engine.sweep import Sweeps

EXTENT = replace(FULL, changes=104)
SETTINGS = {
    "TRIMTAB_MODEL": MINILM,
    "TRIMTAB_DEVICE": "cuda:0",
    "TRIMTAB_MAX_BATCH_SIZE": str(gated_plan.BATCH_SIZE),
    "TRIMTAB_MAX_QUEUE_DELAY": "2ms",
}


def measure() -> list[Result]:
    """Return both rows: answers, and the tail of the latency. Raises BenchError."""
    run = Run(EXTENT, Sweeps(EXTENT, []), math.inf)
    with LiveEngine("minilm", SETTINGS, EXTENT, core=None) as live:
        live_changes.learn(live)
        per_second = live_changes.saturation(live)
        say(f"  hot settings: {per_second:.0f}/s in a closed loop")
        rows = hot_settings.measure(live, run, hot_settings.LOAD_SHARE * per_second, ("None",))
    return [replace(row, measure=f"GPU: {row.measure}") for row in rows]
