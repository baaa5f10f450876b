"""What a model takes and gives: named tensors per row, by which batches are packed, checked and cut."""

from __future__ import annotations

import math

import msgspec
import numpy as np

PADDED = -1


class TensorSpec(msgspec.Struct, frozen=True):
    """One named tensor of a row.

    Args:
        name: as clients write it.
        dtype: numpy's name: bool, int8 to int64, uint8 to uint64, float16, float32 or float64.
        shape: sizes without the batch axis; at most one is -1, the axis whose size differs from row to row. All such
            axes of a row have one size, the row's length: shorter rows are filled with zeros at the end of the axis,
            and what the model gives for the filling is cut off.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def padded(self) -> bool:
        """Whether an axis has the row's length."""
        return PADDED in self.shape

    def sized(self, length: int) -> tuple[int, ...]:
        """Return the shape of a row of that length."""
        return tuple(length if size == PADDED else size for size in self.shape)

    def corner(self, length: int) -> tuple[slice, ...]:
        """Return the index of what a row of that length fills of a padded one."""
        return tuple(slice(length) if size == PADDED else slice(None) for size in self.shape)

    def row_bytes(self, length: int) -> int:
        """Return the bytes of a row of that length."""
        return math.prod(self.sized(length)) * np.dtype(self.dtype).itemsize


class Signature(msgspec.Struct, frozen=True):
    """Inputs and outputs of a model; `max_length` bounds the length of a row, 1 where nothing is padded."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_length: int = 1

    @property
    def largest_row_bytes(self) -> int:
        """Bytes of the inputs and outputs of the longest row."""
        return sum(spec.row_bytes(self.max_length) for spec in (*self.inputs, *self.outputs))


def text_signature(width: int, max_tokens: int) -> Signature:
    """Return the signature of a text encoder with pooling: token ids and mask to an embedding of `width` numbers."""
    return Signature(
        inputs=(TensorSpec("ids", "int32", (PADDED,)), TensorSpec("mask", "uint8", (PADDED,))),
        outputs=(TensorSpec("embedding", "float32", (width,)),),
        max_length=max_tokens,
    )
