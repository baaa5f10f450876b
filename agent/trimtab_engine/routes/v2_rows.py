"""Tensors of the Open Inference Protocol as the rows of a model that declares its own inputs."""

from __future__ import annotations

import math
from array import array
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab_engine.errors import BadRequest
from trimtab_engine.jobs import TensorRow
from trimtab_engine.routes.v2_tensors import InputTensor
from trimtab_engine.signature import DATATYPES, PADDED, Signature, TensorSpec

# What JSON numbers may become which kind of numpy dtype: whole numbers are floats too, the rest stays what it is.
_JSON_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
_LITTLE_ENDIAN = {name: np.dtype(name).newbyteorder("<") for name in DATATYPES}
_FEW_NUMBERS = 64
_KIND_NAMES = {"b": "true and false", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}


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
        return length
    accepted = [-1, *spec.shape]
    fits = len(shape) == len(accepted) and all(
        wanted in (size, PADDED) for size, wanted in zip(shape, accepted, strict=True)
    )
    if not fits or shape[0] < 1:
        raise BadRequest(f"input {spec.name!r} has shape {shape[:8]}; accepted is {accepted}, with 1 row or more")
    if not spec.padded:
        return length
    found = shape[1 + spec.shape.index(PADDED)]
    if not 1 <= found <= max_length or length not in (None, found):
        limits = f"1 to {max_length}" if length is None else f"{length}, as the input before"
        raise BadRequest(f"input {spec.name!r} has shape {shape[:8]}, so rows of length {found}; accepted is {limits}")
    return found


def _read(tensor: InputTensor, spec: TensorSpec, binary: bytes | None) -> NDArray[Any]:
    dtype = _LITTLE_ENDIAN[spec.dtype]
    count = math.prod(tensor.shape)
    if binary is None:
        few = _few_floats(tensor.data, count) if spec.dtype == "float32" else None
        if few is not None:
            return few.reshape(tensor.shape)
        values = _from_json(tensor, spec, count)
    elif len(binary) != count * dtype.itemsize:
        needed = count * dtype.itemsize
        raise BadRequest(f"input {spec.name!r} has {len(binary)} bytes; shape {tensor.shape} needs {needed}")
    else:
        if spec.dtype == "bool" and binary.strip(b"\x00\x01"):
            raise BadRequest(f"input {spec.name!r} holds a byte other than 0 and 1; accepted for BOOL are these")
        values = np.frombuffer(binary, dtype)
    if dtype.kind == "f" and not np.logical_and.reduce(np.isfinite(values), axis=None):
        raise BadRequest(f"input {spec.name!r} holds a value that is not finite in {DATATYPES[spec.dtype]}")
    return values.reshape(tensor.shape)


def _few_floats(data: Any, count: int) -> NDArray[Any] | None:
    """Read a short flat list of floats as float32, at a third of the general way's cost; None = no such list."""
    if type(data) is not list or len(data) != count or count > _FEW_NUMBERS or {*map(type, data)} != {float}:
        return None
    values = array("f", data)
    # The sum of so few finite float32 is finite as a Python float; what is not finite is left to the general way.
    return np.frombuffer(values, np.float32) if math.isfinite(sum(values)) else None


def _from_json(tensor: InputTensor, spec: TensorSpec, count: int) -> NDArray[Any]:
    dtype = _LITTLE_ENDIAN[spec.dtype]
    if tensor.data is msgspec.UNSET:
        raise BadRequest(f"input {spec.name!r} has neither data nor binary_data_size; accepted is one of them")
    try:
        values = np.array(tensor.data)
    except (ValueError, OverflowError, RecursionError):  # ragged lists, numbers beyond 64 bits
        values = np.array(None)
    if values.ndim == 0 or values.dtype.kind not in _JSON_KINDS[dtype.kind]:
        raise BadRequest(f"input {spec.name!r}: data is not a flat or {tensor.shape} list of {_KIND_NAMES[dtype.kind]}")
    if values.size != count or (values.ndim > 1 and list(values.shape) != tensor.shape):
        raise BadRequest(f"input {spec.name!r} has shape {tensor.shape} but {values.size} elements of another shape")
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        low, high = int(values.min()), int(values.max())
        if low < bounds.min or high > bounds.max:
            wrong = low if low < bounds.min else high
            raise BadRequest(f"input {spec.name!r} holds {wrong}; accepted are {bounds.min} to {bounds.max}")
    if dtype.itemsize >= values.itemsize:
        return values.astype(dtype)
    with np.errstate(over="ignore"):  # what becomes infinite is refused by the caller
        return values.astype(dtype)
