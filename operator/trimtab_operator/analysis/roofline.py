"""What a GPU's passes through the model spend their time on, and what a fifth more of each resource would gain.

Activity is a counter's share of cycles over 0.8, the most that is reached in practice (of memory: NVIDIA, DCGM user
guide, profiling metrics). Arithmetic and memory overlap, and the longer of them takes the time (Williams, Waterman and
Patterson, Roofline, 2009), but not sharply:

    share of a pass on the GPU = (arithmetic^3 + memory^3)^(1/3); the rest is spent outside of it

A fifth more arithmetic or memory divides its activity by 1.2. A fifth more power buys about half a fifth more clock: it
grows with the cube of the clock, and a third of it is fixed. A fifth more sequences in a pass cost that much more
arithmetic, and more reading of their KV caches, but not of the weights. A token of cache weighs about 1/100 000 of the
weights: models of 1.5 to 32 billion 16-bit weights lie between 1/25 000 (full attention) and 1/240 000 (grouped-query),
with 8-bit weights at half of that. Where the tokens are not known, half of what is read is taken for cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from trimtab_operator.analysis import pods
from trimtab_operator.model.signals import Signal
from trimtab_operator.model.snapshot import Snapshot

REACHABLE_ACTIVITY = 0.8
TOKENS_AS_HEAVY_AS_WEIGHTS = 100_000.0
USUAL_CACHE_SHARE = 0.5
_FIFTH = 0.2


@dataclass(frozen=True)
class Roofline:
    """What a fifth more would gain in throughput, over a fifth: 0 to 1. `sequences`: of room for them, if some wait."""

    arithmetic: float
    power: float
    memory: float
    sequences: float


def roofline(snapshot: Snapshot) -> Roofline | None:
    """Read the gains off the activity of tensor pipes and memory; None where one of them is not known."""
    working = _activity(snapshot, Signal.GPU_TENSOR_ACTIVE_RATIO)
    moving = _activity(snapshot, Signal.GPU_DRAM_ACTIVE_RATIO)
    if working is None or moving is None:
        return None
    read = 1.0 + _FIFTH * _cache_share(snapshot)
    return Roofline(
        arithmetic=_gain(working, moving, working / (1.0 + _FIFTH), moving),
        power=_gain(working, moving, working / (1.0 + _FIFTH / 2.0), moving),
        memory=_gain(working, moving, working, moving / (1.0 + _FIFTH)),
        sequences=_gain(working, moving, working * (1.0 + _FIFTH), moving * read, passes=1.0 + _FIFTH),
    )


def share_on_gpu(tensor: float, dram: float) -> float:
    """Return the share of a pass (0 to 1) that one GPU works, by the activity counters of its two parts."""
    return min(1.0, _on_gpu(_reached(tensor), _reached(dram)))


def _gain(working: float, moving: float, then_working: float, then_moving: float, passes: float = 1.0) -> float:
    """Return by what share of a fifth throughput grows where the activities of a pass become others."""
    now = _on_gpu(working, moving)
    then = max(1.0, now) - now + _on_gpu(then_working, then_moving)
    return max(0.0, (passes * max(1.0, now) / then - 1.0) / _FIFTH)


def _on_gpu(working: float, moving: float) -> float:
    return float((working**3 + moving**3) ** (1.0 / 3.0))


def mean(snapshot: Snapshot, signal: Signal) -> float | None:
    """Return the mean over the seasoned pods; None without data."""
    known = pods.values(snapshot, signal)
    return fmean(known.values()) if known else None


def _activity(snapshot: Snapshot, signal: Signal) -> float | None:
    active = mean(snapshot, signal)
    return None if active is None else _reached(active)


def _reached(active: float) -> float:
    return min(1.0, max(0.0, active / REACHABLE_ACTIVITY))


def _cache_share(snapshot: Snapshot) -> float:
    """Estimate what share of the bytes of a pass are KV cache: each sequence has its prompt and half of its output."""
    running, served = mean(snapshot, Signal.RUNNING_REQUESTS), mean(snapshot, Signal.REQUESTS_PER_SECOND)
    prompt = mean(snapshot, Signal.PROMPT_TOKENS_PER_SECOND)
    output = mean(snapshot, Signal.GENERATED_TOKENS_PER_SECOND)
    if running is None or not served or prompt is None or output is None:
        return USUAL_CACHE_SHARE
    tokens = running * (prompt + output / 2.0) / served
    return tokens / (tokens + TOKENS_AS_HEAVY_AS_WEIGHTS)
