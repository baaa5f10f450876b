"""What a model takes and gives: named tensors per row, by which batches are packed, checked and cut."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec
import numpy as np

PADDED = -1

# numpy's names and those of the Open Inference Protocol
DATATYPES = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


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
        if PADDED not in self.shape:
            return self.shape
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


def declare(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], max_length: int | None) -> Signature:
    """Return the signature of a model's own declaration.

    Raises:
        ValueError: the declaration cannot be served; the message names the tensor, its value and what is accepted.
    """
    for kind, specs in (("inputs", inputs), ("outputs", outputs)):
        if not specs or not all(isinstance(spec, TensorSpec) for spec in specs):
            raise ValueError(f"{kind} is {specs!r:.80}; accepted is a list of one or more TensorSpec")
        if len({spec.name for spec in specs}) != len(specs):
            raise ValueError(f"{kind} names a tensor twice; accepted are different names")
        for spec in specs:
            _check(spec)
    padded = any(spec.padded for spec in inputs)
    if not padded and any(spec.padded for spec in outputs):
        raise ValueError(
            "an output has a padded axis (-1) and no input has; accepted are outputs of the inputs' length"
        )
    if padded and (type(max_length) is not int or max_length < 1):
        raise ValueError(f"max_length is {max_length!r}; a model with a padded axis (-1) needs a number of 1 or more")
    return Signature(tuple(inputs), tuple(outputs), max_length if padded and max_length is not None else 1)


def in_words(specs: Sequence[TensorSpec]) -> str:
    """Return tensors as a message names them: `ids int32[-1], mask uint8[-1]`."""
    return ", ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)


def _check(spec: TensorSpec) -> None:
    if not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        raise ValueError(f"a tensor is named {spec.name!r}; accepted are 1 to 128 letters, digits, '.', '_' and '-'")
    if spec.dtype not in DATATYPES:
        raise ValueError(f"tensor {spec.name!r} has dtype {spec.dtype!r}; accepted are {', '.join(DATATYPES)}")
    sizes = spec.shape if isinstance(spec.shape, Sequence) else (None,)  # (3) is a number, (3,) a shape
    if not all(type(size) is int and (size == PADDED or size > 0) for size in sizes):
        raise ValueError(f"tensor {spec.name!r} has shape {spec.shape!r}; accepted are sizes above 0, and -1 once")
    if spec.shape.count(PADDED) > 1:
        raise ValueError(f"tensor {spec.name!r} has shape {spec.shape!r}; accepted is -1 at most once")
