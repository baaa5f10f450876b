"""A plan of 8-bit layers for MiniLM: searched and gated by the engine, timed through HTTP, swapped to and back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.engine.arithmetic import Timed, compiled_fp32, onnx_int8
from bench.engine.live_engine import LiveEngine
from bench.engine.progress import say
from bench.engine.results import Result
from bench.engine.run import Run
from bench.engine.statistics import Ratio
from bench.engine.swaps import SwapGap, bursts, speed_up, stretches, swap_gap

BATCH_SIZE = 8
MIN_ACCURACY = 0.98
SEARCH_LIMIT_SECONDS = 180.0
SPEED_FLOOR, SPEED_AIM = 1.15, 1.35
MOST_GAP_BATCHES = 1.0
DEPTH = 8  # on each of four connections, or on connections of their own: four batches wait at any time
WISH = {"quantization": "Int8", "minAccuracy": str(MIN_ACCURACY)}
_INPUTS_PER_SET = 5.5  # of the traffic: three sets by hash, and a margin
SPEED_UP = "gated plan: speed-up through HTTP"


@dataclass(frozen=True)
class Searched:
    """How the wish for a plan ended: the engine's own event, and the seconds from the wish to it."""

    seconds: float
    event: Mapping[str, Any]

    @property
    def admitted(self) -> bool:
        """Whether a plan is in force."""
        return bool(self.event.get("phase") == "InForce")


@dataclass(frozen=True)
class Swapped:
    """What the log of answers under swaps says; None where it has too few. `changes`: the swaps that were made."""

    speed: tuple[Ratio, Ratio] | None
    gap: SwapGap | None
    original_per_second: float
    changes: int


def search(live: LiveEngine, run: Run) -> Searched:
    """Fill the captured sets with traffic, wish for 8 bits, and wait. Raises BenchError, TimeoutError."""
    inputs = int(_INPUTS_PER_SET * run.extent.captured_inputs)
    filled = live.load("fill", inputs="capture", depth=DEPTH, requests=inputs)
    say(f"  gated plan: {filled['sent']} inputs were sent, the search begins")
    began = time.monotonic()
    live.change(WISH, in_force=False)
    event = live.engine.server.wait_for(
        "variant", run.extent.search_wait_seconds, lambda event: event["phase"] in ("InForce", "Refused")
    )
    seconds = time.monotonic() - began
    say(f"  gated plan: {event['phase']} after {seconds:.0f} s {event.get('reason', '')}")
    return Searched(seconds, event)


def swap(live: LiveEngine, run: Run, base: str) -> Swapped:
    """Change between the original and the plan under a closed loop that never lets the queue run empty.

    Raises BenchError.
    """
    extent = run.extent
    live.begin("swaps", depth=DEPTH, seconds=(extent.swaps + 1) * extent.swap_seconds)
    end = time.monotonic() + extent.swaps * extent.swap_seconds
    number = 0
    while time.monotonic() < end:
        number += 1
        live.change(WISH if number % 2 else {})
        time.sleep(extent.swap_seconds)
    answers = live.loaded()
    found = bursts(answers["received"], answers["versions"], BATCH_SIZE)
    parts = stretches(found)
    seconds = [part[-1].at - part[0].at for part in parts if part[0].version == base]
    count = sum(burst.answers for part in parts if part[0].version == base for burst in part[1:])
    per_second = count / sum(seconds) if seconds else 0.0
    say(f"  gated plan: {number} swaps, {len(parts)} stretches, {per_second:.0f}/s with the original")
    return Swapped(speed_up(parts, base), swap_gap(found), per_second, number)


def rows(searched: Searched, swapped: Swapped | None, run: Run) -> list[Result]:
    """Return the rows of the plan: search, gate, speed, and the gap at a swap; `swapped` None: none was admitted."""
    event = searched.event
    search_row = Result(
        "plan search, seconds",
        trimtab=searched.seconds,
        holds=searched.seconds <= SEARCH_LIMIT_SECONDS,
        asked=f"at most {SEARCH_LIMIT_SECONDS:.0f}",
        note=f"{event.get('builds', 0)} trial builds, {event.get('device_seconds', 0)} s of the device",
        quick=run.quick,
    )
    if swapped is None:
        why = f"no plan was admitted: {event.get('reason', '')}"
        return [
            search_row,
            Result("gated plan: lower bound of the cosine", trimtab=0.0, holds=False, asked=f"at least {MIN_ACCURACY}",
                   note=why, quick=run.quick),
            Result(SPEED_UP, unresolved=why, quick=run.quick),
            Result("swap gap, batches", unresolved=why, quick=run.quick),
        ]  # fmt: skip
    gate_row = Result(
        "gated plan: lower bound of the cosine",
        trimtab=event["accuracy_low"],
        holds=event["accuracy_low"] >= MIN_ACCURACY,
        asked=f"at least {MIN_ACCURACY}",
        note=f"mean {event['accuracy']}, the original beside itself {event['accuracy_self']}; {event['layers']} layers "
        f"with {event['quantized_share']:.0%} of the multiplications of linear layers",
        quick=run.quick,
    )
    return [search_row, gate_row, *_speed_rows(event, swapped, run), _gap_row(swapped, run)]


def _speed_rows(event: Mapping[str, Any], swapped: Swapped, run: Run) -> list[Result]:
    if swapped.speed is None:
        return [Result(SPEED_UP, unresolved="too few stretches between swaps", quick=run.quick)]
    ratio, itself = swapped.speed
    compiled, onnx = compiled_fp32(BATCH_SIZE), onnx_int8(BATCH_SIZE)
    better = 1.0 if compiled.ratio is None else max(1.0, compiled.ratio.mean)
    beside = Ratio(ratio.mean / better, ratio.low / better, ratio.high / better, ratio.pairs)
    slower = int(ratio.high < 1.0)
    return [
        Result(
            SPEED_UP,
            trimtab=beside.mean,
            ratio=beside,
            again=itself,
            floor=SPEED_FLOOR,
            aim=SPEED_AIM,
            note=f"batches of {BATCH_SIZE}; compiled fp32: {compiled}; by the engine's own timing "
            f"{event.get('speedup')}, at least {event.get('speedup_low')}",
            quick=run.quick,
            unresolved=f"compiled fp32: {compiled}" if compiled.late else "",
        ),
        Result("plans applied that turned out slower", trimtab=slower, holds=slower == 0, asked="0", quick=run.quick),
        _onnx_row(onnx),
    ]


def _onnx_row(onnx: Timed) -> Result:
    name = "ONNX Runtime int8, for information"
    if onnx.ratio is None:
        return Result(name, note=onnx.why)
    return Result(name, trimtab=onnx.ratio.mean, note=f"{onnx}, mean cosine {onnx.cosine:.4f}: not gated, not served")


def _gap_row(swapped: Swapped, run: Run) -> Result:
    name = "swap gap, batches"
    if swapped.gap is None:
        return Result(name, unresolved="no swap under load was seen", quick=run.quick)
    gap = swapped.gap
    return Result(
        name,
        trimtab=gap.mean,
        holds=gap.high < MOST_GAP_BATCHES,
        asked=f"upper bound below {MOST_GAP_BATCHES:g}",
        note=f"extra time between two batches at {gap.swaps} swaps seen of {swapped.changes} made, with a full queue: "
        f"mean {gap.mean:.3f} [{gap.low:.3f}, {gap.high:.3f}], largest {gap.largest:.2f}",
        quick=run.quick,
    )
