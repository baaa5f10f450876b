"""Tensors of the Open Inference Protocol as the rows of a model that declares its own inputs."""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab_engine.errors import BadRequest
from trimtab_engine.jobs import TensorRow
from trimtab_engine.routes.v2_tensors import InputTensor, read_numbers
from trimtab_engine.signature import DATATYPES, PADDED, Signature, TensorSpec

_FEW_NUMBERS = 64


class ShortRow:
    """Reads what most requests are at a fraction of the general way's cost: one row of a few floats, in a flat list."""

    def __init__(self, signature: Signature) -> None:
        self._spec = signature.inputs[0]
        self._possible = len(signature.inputs) == 1 and self._spec.dtype == "float32" and not self._spec.padded
        self._shape = [1, *self._spec.shape]
        self._count = math.prod(self._shape)

    def read(self, inputs: list[InputTensor]) -> list[TensorRow] | None:
        """Return the row; None where it takes `tensor_rows` to read the inputs, or to say what is wrong with them."""
        if len(inputs) != 1 or not self._possible:
            return None
        tensor, spec = inputs[0], self._spec
        if tensor.name != spec.name or tensor.datatype != "FP32" or tensor.shape != self._shape or tensor.parameters:
            return None
        few = _few_floats(tensor.data, self._count)
        if few is None:
            return None
        return [TensorRow((few if len(spec.shape) == 1 else few.reshape(spec.shape),))]


def tensor_rows(tensors: dict[str, InputTensor], chunks: dict[str, bytes], signature: Signature) -> list[TensorRow]:
    """Read every declared input, each [N, …], as N rows.

    Raises:
        BadRequest: a tensor is missing or unknown, or its datatype, shape or a value is not what is declared.
    """
    if len(tensors) != len(signature.inputs) or any(spec.name not in tensors for spec in signature.inputs):
        names = ", ".join(sorted(name[:40] for name in tensors)[:8])
        declared = ", ".join(spec.name for spec in signature.inputs)
        raise BadRequest(f"the inputs are [{names}]; accepted are [{declared}], each once")
    count, length = None, None
    arrays = []
    for spec in signature.inputs:
        tensor = tensors[spec.name]
        length = _check(tensor, spec, length, signature.max_length)
        if count not in (None, tensor.shape[0]):
            raise BadRequest(f"input {spec.name!r} has {tensor.shape[0]} rows, the one before {count}; accepted: same")
        count = tensor.shape[0]
        arrays.append(_read(tensor, spec, chunks.get(spec.name)))
    return [TensorRow(columns, length or 1) for columns in zip(*arrays, strict=True)]


def _check(tensor: InputTensor, spec: TensorSpec, length: int | None, max_length: int) -> int | None:
    """Check datatype and shape; return the length that the request's rows have, once a tensor has shown it."""
    datatype = DATATYPES[spec.dtype]
    if tensor.datatype != datatype:
        raise BadRequest(f"input {spec.name!r} has datatype {tensor.datatype[:20]!r}; accepted is {datatype}")
    shape = tensor.shape
    if not spec.padded and len(shape) > 0 and shape[0] > 0 and shape[1:] == [*spec.shape]:
        return length  # the only way out for a fixed shape
    accepted = [-1, *spec.shape]
    fits = len(shape) == len(accepted) and all(
        wanted in (size, PADDED) for size, wanted in zip(shape, accepted, strict=True)
    )
    if not fits or shape[0] < 1:
        raise BadRequest(f"input {spec.name!r} has shape {shape[:8]}; accepted is {accepted}, with 1 row or more")
    found = shape[1 + spec.shape.index(PADDED)]
    if not 1 <= found <= max_length or length not in (None, found):
        limits = f"1 to {max_length}" if length is None else f"{length}, as the input before"
        raise BadRequest(f"input {spec.name!r} has shape {shape[:8]}, so rows of length {found}; accepted is {limits}")
    return found


def _read(tensor: InputTensor, spec: TensorSpec, binary: bytes | None) -> NDArray[Any]:
    if binary is None and spec.dtype == "float32":
        few = _few_floats(tensor.data, math.prod(tensor.shape))
        if few is not None:
            return few.reshape(tensor.shape)
    return read_numbers(tensor, spec.dtype, binary)


def _few_floats(data: Any, count: int) -> NDArray[Any] | None:
    """Read a short flat list of floats as float32, at a third of the general way's cost; None = no such list."""
    if type(data) is not list or len(data) != count or count > _FEW_NUMBERS or {*map(type, data)} != {float}:
        return None
    values = array("f", data)
    # The sum of so few finite float32 is finite as a Python float; what is not finite is left to the general way.
    return np.frombuffer(values, np.float32) if math.isfinite(sum(values)) else None
