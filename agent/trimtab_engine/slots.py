"""One batch's tensors in memory that front and worker share: token ids and mask in, embeddings out.

The memory is an anonymous file (memfd) handed to the worker as a descriptor: no name to leak after a crash, no
/dev/shm size limit, no resource-tracker process; pages that no batch touches cost nothing.
"""

from __future__ import annotations

import mmap
import os

import msgspec
import numpy as np
from numpy.typing import NDArray

_CACHE_LINE = 64


class SlotLayout(msgspec.Struct, frozen=True):
    """Capacity of a slot: `rows` inputs of `tokens` tokens, answers of `width` numbers."""

    rows: int
    tokens: int
    width: int

    @property
    def mask_offset_bytes(self) -> int:
        """Where the mask starts, after the int32 ids."""
        return _align(self.rows * self.tokens * 4)

    @property
    def output_offset_bytes(self) -> int:
        """Where the float32 output starts, after the uint8 mask."""
        return self.mask_offset_bytes + _align(self.rows * self.tokens)

    @property
    def size_bytes(self) -> int:
        """Size of the whole slot."""
        return self.output_offset_bytes + _align(self.rows * self.width * 4)


class Slot:
    """Array views on a shared slot; a batch uses the dense shape (rows, tokens) that it needs."""

    def __init__(self, layout: SlotLayout, descriptor: int) -> None:
        self._layout = layout
        self._memory = mmap.mmap(descriptor, layout.size_bytes)

    def ids(self, rows: int, tokens: int) -> NDArray[np.int32]:
        """Token ids of the batch."""
        return np.ndarray((rows, tokens), np.int32, self._memory, 0)

    def mask(self, rows: int, tokens: int) -> NDArray[np.uint8]:
        """1 where a token counts."""
        return np.ndarray((rows, tokens), np.uint8, self._memory, self._layout.mask_offset_bytes)

    def output(self, rows: int) -> NDArray[np.float32]:
        """Embeddings of the batch."""
        return np.ndarray((rows, self._layout.width), np.float32, self._memory, self._layout.output_offset_bytes)


def create_memory(layout: SlotLayout) -> int:
    """Make a descriptor of fresh shared memory for one slot; the caller closes it."""
    descriptor = os.memfd_create("trimtab-slot")
    os.ftruncate(descriptor, layout.size_bytes)
    return descriptor


def _align(size: int) -> int:
    return -(-size // _CACHE_LINE) * _CACHE_LINE
