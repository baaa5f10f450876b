"""What a log of answers under saturation says about two variants that take turns: speed, and the gap at a swap. Pure.

In a closed loop with more requests than a batch holds the answers come in bursts, one burst per batch, and the queue is
never empty: from one burst to the next a batch was computed, and nothing else should have happened.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np

from bench.engine.statistics import RESAMPLES, Ratio, paired_ratio

_SAME_BURST_SHARE = 0.25
"""Of the mean time per batch: answers closer together came from one batch."""
_SETTLING_BURSTS = 2
"""At the start of a stretch, which its rate leaves out: the swap itself."""
_LEAST_BURSTS = 4
_SEED = 1


@dataclass(frozen=True)
class Burst:
    """The answers of one batch: when the last of them came, their version, and how many."""

    at: float
    version: str
    answers: int


@dataclass(frozen=True)
class SwapGap:
    """The idle time that a swap adds, in batches: the mean with its 95 % bootstrap interval, and the largest."""

    mean: float
    low: float
    high: float
    largest: float
    swaps: int


def bursts(received: Sequence[float], versions: Sequence[str], batch_size: int) -> list[Burst]:
    """Group answers in the order in which they came; a change of version always begins a new burst."""
    if len(received) < 2:
        return []
    apart = _SAME_BURST_SHARE * batch_size * (received[-1] - received[0]) / len(received)
    found: list[Burst] = []
    for at, version in zip(received, versions, strict=True):
        last = found[-1] if found else None
        if last is not None and last.version == version and at - last.at < apart:
            found[-1] = Burst(at, version, last.answers + 1)
        else:
            found.append(Burst(at, version, 1))
    return found


def stretches(found: Sequence[Burst]) -> list[list[Burst]]:
    """Split into stretches of one version; those too short to say anything are left out."""
    parts: list[list[Burst]] = []
    for burst in found:
        if not parts or parts[-1][-1].version != burst.version:
            parts.append([])
        parts[-1].append(burst)
    return [part for part in parts if len(part) >= _SETTLING_BURSTS + _LEAST_BURSTS]


def rate(stretch: Sequence[Burst]) -> float:
    """Return the answers per second of a stretch, without its first bursts."""
    settled = stretch[_SETTLING_BURSTS:]
    return sum(burst.answers for burst in settled[1:]) / (settled[-1].at - settled[0].at)


def speed_up(parts: Sequence[Sequence[Burst]], base: str) -> tuple[Ratio, Ratio] | None:
    """Return the ratio of the variant's rate to the original's, and of a stretch's to the next one's of its version.

    Which of these two comes first is drawn: what disturbs every fourth stretch would else pass for a difference.
    None with fewer than two stretches of each.
    """
    ours = [rate(part) for part in parts if part[0].version != base]
    originals = [rate(part) for part in parts if part[0].version == base]
    pairs = min(len(ours), len(originals))
    if pairs < 2:
        return None
    dice = random.Random(_SEED)
    neighbours = [pair for rates in (originals, ours) for pair in zip(rates[::2], rates[1::2], strict=False)]
    drawn = [dice.sample(pair, 2) for pair in neighbours]
    itself = paired_ratio([first for first, _ in drawn], [second for _, second in drawn])
    return paired_ratio(ours[:pairs], originals[:pairs]), itself


def swap_gap(found: Sequence[Burst]) -> SwapGap | None:
    """Return what the time between two bursts is longer by where the version changed; None without swaps.

    The batch after a swap is compared with the median batch of its own version; the unit is the original's batch.
    """
    periods: dict[str, list[float]] = {}
    crossing: list[tuple[str, float]] = []
    for before, after in pairwise(found):
        if before.version == after.version:
            periods.setdefault(after.version, []).append(after.at - before.at)
        else:
            crossing.append((after.version, after.at - before.at))
    usual = {version: median(times) for version, times in periods.items()}
    extra = [seconds - usual[version] for version, seconds in crossing if version in usual]
    if not extra:
        return None
    batches = np.array(extra) / max(usual.values())
    means = np.random.default_rng(1).choice(batches, (RESAMPLES, len(batches))).mean(axis=1)
    low, high = (float(bound) for bound in np.quantile(means, [0.025, 0.975]))
    return SwapGap(float(batches.mean()), low, high, float(batches.max()), len(batches))
