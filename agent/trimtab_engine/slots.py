"""One batch's tensors in memory that front and worker share: a byte arena in which each tensor has its place.

The memory is an anonymous file (memfd) handed to the worker as a descriptor: no name to leak after a crash, no
/dev/shm size limit, no resource-tracker process; pages that no batch touches cost nothing.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab_engine.signature import Signature, TensorSpec

SLOT_BYTES = 1 << 30
_CACHE_LINE = 64


class TensorPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a tensor lies: `shape` has the batch axis first, `offset` counts bytes from the slot's start."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


class Slot:
    """Array views on a shared slot."""

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, SLOT_BYTES)

    def view(self, place: TensorPlace) -> NDArray[Any]:
        """Return the tensor at a place.

        Raises:
            TypeError: the place reaches beyond the slot.
        """
        return np.ndarray(place.shape, place.dtype, self._memory, place.offset)


def create_memory() -> int:
    """Make a descriptor of fresh shared memory for one slot; the caller closes it."""
    descriptor = os.memfd_create("trimtab-slot")
    os.ftruncate(descriptor, SLOT_BYTES)
    return descriptor


def place_batch(specs: Iterable[TensorSpec], rows: int, length: int, offset: int = 0) -> list[TensorPlace]:
    """Give the tensors of `rows` rows, padded to `length`, places one after another from `offset` on."""
    places = []
    for spec in specs:
        places.append(TensorPlace(spec.name, spec.dtype, (rows, *spec.sized(length)), offset))
        offset += _aligned(rows * spec.row_bytes(length))
    return places


def end_of(places: Sequence[TensorPlace]) -> int:
    """Return the first free offset after these places."""
    last = places[-1]
    return last.offset + _aligned(math.prod(last.shape) * np.dtype(last.dtype).itemsize)


def rows_that_fit(signature: Signature) -> int:
    """Return how many rows a slot takes, whatever their lengths; 0 where one alone may be too large."""
    padding_bytes = _CACHE_LINE * (len(signature.inputs) + len(signature.outputs))
    return (SLOT_BYTES - padding_bytes) // max(1, signature.largest_row_bytes)


def _aligned(size: int) -> int:
    return -(-size // _CACHE_LINE) * _CACHE_LINE
