"""Tensors of the Open Inference Protocol: JSON data and the binary extension, checked and turned into inputs."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab_engine.errors import BadRequest
from trimtab_engine.jobs import TokenRow
from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.signature import DATATYPES
from trimtab_engine.tokens import check_token_row

_MAX_DIMENSION = 1 << 31
# What JSON numbers may become which kind of numpy dtype: whole numbers are floats too, the rest stays what it is.
_JSON_KINDS = {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}
_KIND_NAMES = {"b": "true and false", "i": "whole numbers", "u": "whole numbers", "f": "numbers"}
_LITTLE_ENDIAN = {name: np.dtype(name).newbyteorder("<") for name in DATATYPES}


class InputTensor(msgspec.Struct):
    """One input of a request; `data` is absent when the bytes follow the JSON."""

    name: str
    shape: list[int]
    datatype: str
    data: Any = msgspec.UNSET
    parameters: dict[str, Any] | None = None


def attach_binary(tensors: list[InputTensor], tail: bytes) -> dict[str, bytes]:
    """Cut the bytes after the JSON header into the tensors that ask for them, by name.

    Raises:
        BadRequest: a length is missing or wrong, or bytes are left over or short.
    """
    chunks: dict[str, bytes] = {}
    offset = 0
    for tensor in tensors:
        size = (tensor.parameters or {}).get("binary_data_size")
        if size is None:
            continue
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise BadRequest(f"input {tensor.name!r}: binary_data_size is {size!r}; accepted is a number of bytes")
        if tensor.data is not msgspec.UNSET:
            raise BadRequest(f"input {tensor.name!r} has both data and binary_data_size; accepted is one of them")
        if offset + size > len(tail):
            raise BadRequest(f"input {tensor.name!r} announces {size} bytes; the body holds {len(tail) - offset}")
        chunks[tensor.name] = tail[offset : offset + size]
        offset += size
    if offset != len(tail):
        raise BadRequest(f"{len(tail) - offset} bytes after the JSON header belong to no input")
    return chunks


def texts(tensor: InputTensor, binary: bytes | None) -> list[str]:
    """Read the strings of a BYTES tensor of shape [N] or [N,1].

    Raises:
        BadRequest: datatype, shape or content is wrong.
    """
    _check(tensor, "BYTES")
    shape = tensor.shape
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] != 1):
        raise BadRequest(f"input 'text' has shape {shape}; accepted are [N] and [N,1]")
    values = _json_strings(tensor) if binary is None else _binary_strings(binary)
    if len(values) != shape[0]:
        raise BadRequest(f"input 'text' has shape {shape} but {len(values)} elements")
    return values


def token_rows(
    tensors: dict[str, InputTensor], chunks: dict[str, bytes], description: ModelDescription
) -> list[TokenRow]:
    """Read the rows of input_ids and, where given, attention_mask, both INT64 [N,T].

    A mask whose ones come first only shortens its row, so that padded and unpadded inputs share one cache entry.

    Raises:
        BadRequest: datatype, shape or a value is wrong.
    """
    ids = _integers(tensors["input_ids"], chunks.get("input_ids"))
    if ids.shape[1] == 0:
        raise BadRequest("input 'input_ids' has no tokens; accepted are 1 or more per row")
    if ids.min() < 0 or ids.max() >= description.vocabulary_size:
        raise BadRequest(f"input 'input_ids' holds an id outside 0 to {description.vocabulary_size - 1}")
    mask = np.ones_like(ids)
    if "attention_mask" in tensors:
        mask = _integers(tensors["attention_mask"], chunks.get("attention_mask"))
        if mask.shape != ids.shape:
            raise BadRequest(
                f"attention_mask has shape {list(mask.shape)}, input_ids {list(ids.shape)}; accepted: same"
            )
        if not ((mask == 0) | (mask == 1)).all():
            raise BadRequest("input 'attention_mask' holds a value other than 0 and 1")
    rows = [_row(ids_row, mask_row) for ids_row, mask_row in zip(ids, mask, strict=True)]
    for index, row in enumerate(rows):
        check_token_row(row, description, "input_ids", index)
    return rows


def read_numbers(tensor: InputTensor, dtype: str, binary: bytes | None) -> NDArray[Any]:
    """Read a tensor of numbers or flags, from the bytes where there are any, as an array of its shape.

    Raises:
        BadRequest: they are not as many as the shape needs, or one is not of the datatype, or not finite in it.
    """
    layout, name, count = _LITTLE_ENDIAN[dtype], tensor.name, math.prod(tensor.shape)
    if binary is None:
        values = _from_json(tensor, layout, count)
    elif len(binary) != count * layout.itemsize:
        needed = count * layout.itemsize
        raise BadRequest(f"input {name!r} has {len(binary)} bytes; shape {tensor.shape} needs {needed}")
    else:
        if dtype == "bool" and binary.strip(b"\x00\x01"):
            raise BadRequest(f"input {name!r} holds a byte other than 0 and 1; accepted for BOOL are these")
        values = np.frombuffer(binary, layout)
    if layout.kind == "f" and not np.logical_and.reduce(np.isfinite(values), axis=None):
        raise BadRequest(f"input {name!r} holds a value that is not finite in {DATATYPES[dtype]}")
    return values.reshape(tensor.shape)


def _row(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> TokenRow:
    length = int(mask.sum())
    if mask[:length].all():
        return (
            TokenRow(ids[:length].astype(np.int32)) if length else TokenRow(ids.astype(np.int32), mask.astype(np.uint8))
        )
    return TokenRow(ids.astype(np.int32), mask.astype(np.uint8))


def _check(tensor: InputTensor, datatype: str) -> None:
    if tensor.datatype != datatype:
        raise BadRequest(f"input {tensor.name!r} has datatype {tensor.datatype[:20]!r}; accepted is {datatype}")
    if any(not 0 <= size < _MAX_DIMENSION for size in tensor.shape):
        raise BadRequest(f"input {tensor.name!r} has shape {tensor.shape}; accepted are sizes of 0 or more")
    if not tensor.shape or tensor.shape[0] == 0:
        raise BadRequest(f"input {tensor.name!r} has shape {tensor.shape}; accepted is at least one element")


def _json_strings(tensor: InputTensor) -> list[str]:
    data = tensor.data
    if not isinstance(data, list):
        raise BadRequest(f"input {tensor.name!r} has no data; accepted is a list of strings")
    if len(tensor.shape) == 2 and all(isinstance(value, list) and len(value) == 1 for value in data):
        data = [value[0] for value in data]
    if not all(isinstance(value, str) for value in data):
        raise BadRequest(f"input {tensor.name!r} holds an element that is no string; accepted are strings only")
    return data


def _binary_strings(data: bytes) -> list[str]:
    """Each element is its length as 4 little-endian bytes, then UTF-8."""
    values, offset = [], 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise BadRequest("input 'text': the binary data ends within a length")
        (size,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if offset + size > len(data):
            raise BadRequest(f"input 'text': an element announces {size} bytes, {len(data) - offset} are left")
        try:
            values.append(data[offset : offset + size].decode())
        except UnicodeDecodeError as error:
            raise BadRequest(f"input 'text': element {len(values)} is not UTF-8") from error
        offset += size
    return values


def _integers(tensor: InputTensor, binary: bytes | None) -> NDArray[np.int64]:
    _check(tensor, "INT64")
    if len(tensor.shape) != 2:
        raise BadRequest(f"input {tensor.name!r} has shape {tensor.shape}; accepted is [N,T]")
    return read_numbers(tensor, "int64", binary)


def _from_json(tensor: InputTensor, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if tensor.data is msgspec.UNSET:
        raise BadRequest(f"input {tensor.name!r} has neither data nor binary_data_size; accepted is one of them")
    try:
        values = np.array(tensor.data)
    except (ValueError, OverflowError, RecursionError):  # ragged lists, numbers beyond 64 bits
        values = np.array(None)
    if values.ndim == 0 or values.dtype.kind not in _JSON_KINDS[dtype.kind]:
        raise BadRequest(
            f"input {tensor.name!r}: data is not a flat or {tensor.shape} list of {_KIND_NAMES[dtype.kind]}"
        )
    if values.size != count or (values.ndim > 1 and list(values.shape) != tensor.shape):
        raise BadRequest(f"input {tensor.name!r} has shape {tensor.shape} but {values.size} elements of another shape")
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        low, high = int(values.min()), int(values.max())
        if low < bounds.min or high > bounds.max:
            wrong = low if low < bounds.min else high
            raise BadRequest(f"input {tensor.name!r} holds {wrong}; accepted are {bounds.min} to {bounds.max}")
    if dtype.itemsize >= values.itemsize:
        return values.astype(dtype)
    with np.errstate(over="ignore"):  # what becomes infinite is refused by the caller
        return values.astype(dtype)
