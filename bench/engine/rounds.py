"""Slices in rounds: every contender once in each, so that a drift of the machine falls on all of them alike.

Void slices are repeated at the end of their round, a bounded number of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.engine.errors import VoidSlice

REPEATED_SHARE = 0.25
"""Of the planned slices: so many may be repeated, then what is void stays void."""
LEAST_SHARE = 0.75
"""Of the planned pairs: with fewer a ratio says nothing."""

T = TypeVar("T")


def shuffled_rounds(contenders: Sequence[str], rounds: int, *, seed: int) -> list[list[str]]:
    """Return rounds in which every contender has one slice, each round in an order of its own."""
    dice = random.Random(seed)
    return [dice.sample(list(contenders), len(contenders)) for _ in range(rounds)]


def mirrored_rounds(contenders: Sequence[str], rounds: int, *, seed: int) -> list[list[str]]:
    """Return rounds, every second one in the reverse order (A B B A for two), so that a steady drift cancels."""
    drawn = shuffled_rounds(contenders, (rounds + 1) // 2, seed=seed)
    return [order for each in drawn for order in (each, each[::-1])][:rounds]


@dataclass(frozen=True)
class Round(Generic[T]):
    """What one round gave; None where a contender's slice was void, and void again."""

    number: int
    slices: dict[str, T | None]


class Rounds:
    """Runs rounds until they are done or the time is up, and remembers why slices were void."""

    def __init__(self, orders: Sequence[Sequence[str]], late: Callable[[], bool]) -> None:
        """`late` tells that the time is up: no further round is begun."""
        self._orders = orders
        self._late = late
        self._repeats = max(1, round(REPEATED_SHARE * sum(map(len, orders))))
        self.void: list[str] = []
        self.begun = 0

    def run(self, slice_of: Callable[[str, int], T]) -> Iterator[Round[T]]:
        """Yield each round; `slice_of` takes a contender and the round's number, and raises VoidSlice."""
        for number, order in enumerate(self._orders):
            if self._late():
                return
            self.begun += 1
            slices: dict[str, T | None] = {}
            for name in order:
                slices[name] = self._attempt(slice_of, name, number)
            for name in order:
                if slices[name] is None and self._repeats > 0 and not self._late():
                    self._repeats -= 1
                    slices[name] = self._attempt(slice_of, name, number)
            yield Round(number, slices)

    def _attempt(self, slice_of: Callable[[str, int], T], name: str, number: int) -> T | None:
        try:
            return slice_of(name, number)
        except VoidSlice as reason:
            self.void.append(f"{name}: {reason}")
            return None

    def why_too_few(self, had: int) -> str:
        """Return why `had` pairs do not suffice, empty where they do."""
        planned = len(self._orders)
        if had >= LEAST_SHARE * planned:
            return ""
        time_up = f"the time was up after {self.begun} of {planned} rounds" if self.begun < planned else ""
        void = f"{len(self.void)} slices were void, the last: {self.void[-1].splitlines()[0]}" if self.void else ""
        return f"{had} of {planned} pairs; " + "; ".join(part for part in (time_up, void) if part)


def paired(ours: Sequence[float | None], theirs: Sequence[float | None]) -> tuple[list[float], list[float]]:
    """Return the values of the rounds in which both have one."""
    both = [(our, their) for our, their in zip(ours, theirs, strict=True) if our is not None and their is not None]
    return [our for our, _ in both], [their for _, their in both]
