"""How long each part of a run is planned to take on a quiet machine with two cores, and when it must be over. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.engine.contenders import CONTENDERS, OURS, settings
from bench.engine.extent import Extent

WHOLE_SECONDS = 3900.0
"""In which a whole run must be over."""
LEAST_SHARE = 0.6
"""Of its planned seconds: so much a measure has even where those before it took too long."""
_START_SECONDS = {"trimtab": 6, "trimtab-again": 6, "mosec": 7, "litserve": 9, "bentoml": 9, "ray": 28, "infinity": 16}
_END_SECONDS = 2.0
_AROUND_CLOSED_SECONDS = 0.3  # warm-up, and the backlog of the slice before
_AROUND_OPEN_SECONDS = 0.4  # the last deadline, judging, and the backlog of the slice before
_CHANGE_SECONDS = 0.1


@dataclass(frozen=True)
class Part:
    """One part of a run: a sweep or a measure, and its planned seconds."""

    name: str
    seconds: float


def sweep_part(workload: str, rivals: Sequence[str], extent: Extent) -> Part:
    """Plan the sweep of a workload over the rivals that can serve it, all of them where none is named."""
    total = 0.0
    for name, contender in CONTENDERS.items():
        if name in OURS or workload not in contender.workloads or (rivals and name not in rivals):
            continue
        count = 1 if workload == "mixed" else len(settings(contender, workload))
        total += count * (_START_SECONDS[name] + extent.sweep_seconds + _AROUND_CLOSED_SECONDS + _END_SECONDS)
    return Part(f"sweep of {workload}", total)


def framework_cost_seconds(extent: Extent) -> float:
    """Plan the rounds of two of ours and one rival."""
    return 30.0 + extent.closed_rounds * 3 * (extent.closed_seconds + _AROUND_CLOSED_SECONDS)


def climb_seconds(extent: Extent, contenders: int) -> float:
    """Plan the staircases of so many contenders."""
    rounds = extent.settle_rounds + extent.climb_rounds
    return 12.0 * contenders + rounds * contenders * (extent.climb_seconds + _AROUND_OPEN_SECONDS)


def overload_seconds(extent: Extent, contenders: int, steps: int) -> float:
    """Plan the rounds at each load, the saturation measured in each."""
    each = contenders * (extent.overload_seconds + _AROUND_OPEN_SECONDS) + extent.sweep_seconds
    return 16.0 * contenders + extent.overload_rounds * steps * each


def live_seconds(extent: Extent) -> float:
    """Plan the search, the swaps, the hot settings and what is learned between them."""
    swaps = extent.swaps * (extent.swap_seconds + _CHANGE_SECONDS)
    search = 15.0 + 0.55 * extent.captured_inputs
    return 90.0 + search + swaps + 2.1 * extent.changes + 100.0


def endurance_seconds(extent: Extent) -> float:
    """Plan both runs; the stub model answers about 1500 requests a second to clients of ours."""
    return 30.0 + extent.growing_seconds + extent.fault_requests / 1500


def batching_seconds(extent: Extent) -> float:
    """Plan the simulation."""
    return 2.0 * extent.drift_seconds


def ends(parts: Sequence[Part], began_at: float, whole_seconds: float) -> Mapping[str, float]:
    """Return when each part must be over: in turn as planned, what the whole leaves over spread along the way."""
    total = sum(part.seconds for part in parts)
    stretch = max(1.0, whole_seconds / total) if total else 1.0
    found, at = {}, began_at
    for part in parts:
        at += stretch * part.seconds
        found[part.name] = at
    return found


def table(parts: Sequence[Part]) -> str:
    """Return one line for each part, and the total."""
    total = sum(part.seconds for part in parts)
    lines = [f"  {part.name:24} {part.seconds / 60:5.1f} min" for part in parts]
    return "\n".join(["plan:", *lines, f"  {'total':24} {total / 60:5.1f} min"])
