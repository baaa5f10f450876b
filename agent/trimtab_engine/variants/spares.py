"""Variants that a worker holds beside the one in force: how long each is kept, which are to be dropped now. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from trimtab_engine.chores import Ask

GRACE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class SpareMemory:
    """What memory allows: `short` = keep nothing that is not in force, `limit_bytes` = of one more variant, 0 = any."""

    short: Callable[[], bool] = lambda: False
    limit_bytes: Callable[[], int] = lambda: 0


@dataclass(frozen=True, slots=True)
class DropSpare(Ask):
    """The chore that drops the variant whose time has come."""


class Spares:
    """The variants built in one worker, each with the second at which it is dropped."""

    def __init__(self) -> None:
        self._until: dict[str, float | None] = {}  # None = as long as it is in force
        self._drops: deque[str] = deque()

    def __contains__(self, variant: str) -> bool:
        """Whether it may be put in force: what is about to be dropped, perhaps just now, may not."""
        return variant in self._until and variant not in self._drops

    def __len__(self) -> int:
        return len(self._until)

    @property
    def next_drop(self) -> str | None:
        """The variant to drop now; it counts as built until `dropped`."""
        return self._drops[0] if self._drops else None

    def add(self, variants: Iterable[str], now: float) -> None:
        """Take over what a course has left; what nobody holds is due at once."""
        for variant in variants:
            self._until.setdefault(variant, now)

    def hold(self, variant: str) -> None:
        """Keep a variant: it is in force."""
        self._until[variant] = None

    def leave(self, variant: str, now: float) -> None:
        """Keep a variant that was in force for the grace period."""
        if variant in self._until:
            self._until[variant] = now + GRACE_SECONDS

    def expire(self, now: float) -> None:
        """Drop what is due."""
        self._drop(variant for variant, until in self._until.items() if until is not None and now >= until)

    def drop_all_but(self, in_force: str) -> None:
        """Drop the rest now: the room is needed."""
        self._drop(variant for variant in self._until if variant != in_force)

    def dropped(self) -> None:
        """Forget the variant that was to be dropped: the worker has answered."""
        self._until.pop(self._drops.popleft(), None)

    def clear(self) -> None:
        """Forget everything: the worker is another."""
        self._until.clear()
        self._drops.clear()

    def _drop(self, variants: Iterable[str]) -> None:
        self._drops.extend([variant for variant in variants if variant not in self._drops])
