"""Distinct inputs of the traffic, kept in memory to search and judge variants with; never written, never logged.

Three disjoint sets by the input's hash: an input is in the same set in every pod and every run. What is searched with
is not judged with, and what is reported was in neither. Each set is a reservoir over time: once full, a newcomer takes
a random place, at a pace that replaces a set's worth in an hour, so that old traffic fades away.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from trimtab_engine.jobs import Row

SET_INPUTS = 256  # in each set; where all of them have the same class, the lower 95 % bound of the share is 0.985
_LOOKS_PER_SECOND = 200.0  # a look costs a hash of the input, a few microseconds
_MOST_LOOKS_AT_ONCE = 64.0
_FADE_SECONDS = 3600.0


class InputSet(IntEnum):
    """What an input is used for; the value is its hash modulo 3."""

    SEARCH = 0
    GATE = 1
    REPORT = 2


@dataclass(frozen=True, slots=True)
class CapturedInput:
    """One input as the worker takes it. `length` is what batches pad to (tokens of a text row)."""

    key: bytes
    row: Row
    length: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InputSets:
    """The three sets as they were at one moment, each in the order of the hashes."""

    search: Sequence[CapturedInput]
    gate: Sequence[CapturedInput]
    report: Sequence[CapturedInput]


@dataclass(frozen=True, slots=True)
class TooFewInputs:
    """Why nothing can be decided yet: distinct inputs in each set, and how many each must have."""

    search: int
    gate: int
    report: int
    needed: int
    short_of_bytes: bool

    def __str__(self) -> str:
        """Say it in words for a report."""
        held = f"{self.search} to search, {self.gate} for the gate and {self.report} to report with"
        why = "; the byte limit of the capture is reached" if self.short_of_bytes else ""
        return f"{held} are captured of {self.needed} distinct inputs each{why}"


class Capture:
    """The inputs of one model, at most `SET_INPUTS` per set and `limit_bytes` in all."""

    def __init__(self, limit_bytes: int, needed: int = SET_INPUTS) -> None:
        self._needed = needed
        self._sets = tuple(_Reservoir(limit_bytes // len(InputSet), part) for part in InputSet)
        self._credit = _MOST_LOOKS_AT_ONCE
        self._credit_at = 0.0

    @property
    def size_bytes(self) -> int:
        """Bytes of the rows that are held."""
        return sum(reservoir.size_bytes for reservoir in self._sets)

    def __len__(self) -> int:
        return sum(map(len, self._sets))

    def wants(self, now: float) -> bool:
        """Whether to look at one more input at this second; bounds what capturing costs. Each yes is one look."""
        full = all(reservoir.full for reservoir in self._sets)
        rate = len(self) / _FADE_SECONDS if full else _LOOKS_PER_SECOND
        self._credit = min(_MOST_LOOKS_AT_ONCE, self._credit + rate * (now - self._credit_at))
        self._credit_at = now
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    def keep(self, captured: CapturedInput) -> None:
        """Hold an input in the set that its hash names; one that is there already is not counted again."""
        self._sets[set_of(captured.key)].add(captured)

    def sets(self) -> InputSets | TooFewInputs:
        """Return the sets as they are now, or why they do not suffice."""
        search, gate, report = (len(reservoir) for reservoir in self._sets)
        if min(search, gate, report) < self._needed:
            short = any(reservoir.short_of_bytes for reservoir in self._sets)
            return TooFewInputs(search, gate, report, self._needed, short)
        return InputSets(*(reservoir.ordered() for reservoir in self._sets))


def set_of(key: bytes) -> InputSet:
    """Return the set that an input of this hash belongs to."""
    return InputSet(int.from_bytes(key[:4], "little") % len(InputSet))


class _Reservoir:
    """Inputs by key; when full a random one makes room."""

    def __init__(self, limit_bytes: int, seed: int) -> None:
        self._held: dict[bytes, CapturedInput] = {}
        self._keys: list[bytes] = []
        self._limit_bytes = limit_bytes
        self._choice = random.Random(seed)  # noqa: S311  which input fades
        self.size_bytes = 0
        self.short_of_bytes = False  # an input had to leave before the set was full

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def full(self) -> bool:
        return len(self._keys) >= SET_INPUTS

    def add(self, captured: CapturedInput) -> None:
        if captured.key in self._held:
            return
        if captured.size_bytes > self._limit_bytes:
            self.short_of_bytes = True
            return
        while self.full or self.size_bytes + captured.size_bytes > self._limit_bytes:
            self.short_of_bytes |= not self.full
            self._drop_one()
        self._held[captured.key] = captured
        self._keys.append(captured.key)
        self.size_bytes += captured.size_bytes

    def ordered(self) -> tuple[CapturedInput, ...]:
        return tuple(self._held[key] for key in sorted(self._keys))

    def _drop_one(self) -> None:
        place = self._choice.randrange(len(self._keys))
        self._keys[place], self._keys[-1] = self._keys[-1], self._keys[place]
        self.size_bytes -= self._held.pop(self._keys.pop()).size_bytes
