"""One engine that searches a plan, swaps to it and back under load, and has its hot settings changed meanwhile."""

from __future__ import annotations

from bench.engine.corpus import MINILM
from bench.engine.errors import BenchError
from bench.engine.live_engine import LiveEngine
from bench.engine.measures import gated_plan, hot_settings
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.run import Run


def measure(run: Run) -> list[Result]:
    """Return the rows of the plan and of the hot settings. Raises BenchError."""
    settings = {
        "TRIMTAB_MODEL": MINILM,
        "TRIMTAB_MAX_BATCH_SIZE": str(gated_plan.BATCH_SIZE),
        "TRIMTAB_MAX_QUEUE_DELAY": "2ms",
        "TRIMTAB_CAPTURE_INPUTS": str(run.extent.captured_inputs),
    }
    with LiveEngine("minilm", settings, run.extent) as live:
        base = learn(live)
        try:
            searched = gated_plan.search(live, run)
        except TimeoutError as error:
            limit = run.extent.search_wait_seconds
            raise BenchError(f"no end of the search for a plan in {limit:.0f} s: {error}") from error
        swapped = None
        if searched.admitted:
            learn(live)
            live.change({})
            swapped = gated_plan.swap(live, run, base)
        per_second = swapped.original_per_second if swapped is not None else saturation(live)
        live.change({})
        formats = ("None", "Int8") if searched.admitted else ("None",)
        hot = hot_settings.measure(live, run, hot_settings.LOAD_SHARE * per_second, formats)
    return [*gated_plan.rows(searched, swapped, run), *hot]


def learn(live: LiveEngine) -> str:
    """Learn what the version in force answers; returns it. Raises BenchError where batches blur it with another."""
    learned = live.learn(gated_plan.DEPTH)
    if learned["mixed"]:
        raise BenchError(
            f"batches move answers of {learned['version']} as far as to another version's: none can be told"
        )
    told = f"batches move {learned['answered']} answers of {learned['version']} by {learned['noise']:.1e} at most"
    say(f"  live: {told}, {learned['dropped']} dropped, {learned['reordered']} reordered")
    return str(learned["version"])


def saturation(live: LiveEngine) -> float:
    """Return the answers per second of a closed loop."""
    seconds = 5.0
    return len(live.load("swaps", depth=gated_plan.DEPTH, seconds=seconds)["received"]) / seconds
