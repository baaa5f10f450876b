"""After out of memory: the batch in two halves, down to single items. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from trimtab_engine.jobs import Item

T = TypeVar("T")


def halves(items: Sequence[T]) -> tuple[list[T], list[T]]:
    """Return the two halves of two or more items, each to be tried once as a batch of its own."""
    middle = len(items) // 2
    return list(items[:middle]), list(items[middle:])


def alone_again(items: Sequence[Item]) -> bool:
    """Whether a batch of one may be tried once more: the worker has given memory back meanwhile."""
    return len(items) == 1 and items[0].attempts == 1
