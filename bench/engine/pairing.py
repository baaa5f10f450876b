"""In which order the contenders are loaded, so that a drift of the machine falls on all of them alike. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence


def shuffled_rounds(contenders: Sequence[str], rounds: int, *, seed: int) -> list[list[str]]:
    """Return rounds in which every contender has one slice, each round in an order of its own."""
    dice = random.Random(seed)
    return [dice.sample(list(contenders), len(contenders)) for _ in range(rounds)]


def mirrored_rounds(contenders: Sequence[str], rounds: int, *, seed: int) -> list[list[str]]:
    """Return rounds, every second one in the reverse order (A B B A for two), so that a steady drift cancels."""
    drawn = shuffled_rounds(contenders, (rounds + 1) // 2, seed=seed)
    return [order for each in drawn for order in (each, each[::-1])][:rounds]
