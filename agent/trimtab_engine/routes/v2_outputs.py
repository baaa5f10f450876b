"""Outputs of the Open Inference Protocol: which ones a request wants, and how answers become them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np

from trimtab_engine.errors import BadRequest
from trimtab_engine.jobs import Answer
from trimtab_engine.signature import DATATYPES, TensorSpec

# What memoryview reads itself: less than half of numpy's cost for the few numbers of a small answer.
_MEMORY_LETTERS: dict[str, Literal["f", "d"]] = {"float32": "f", "float64": "d"}

_encode = msgspec.json.encode


class RequestedOutput(msgspec.Struct):
    """An output that the client names."""

    name: str
    parameters: dict[str, Any] | None = None


class WantedOutput(NamedTuple):
    """An output to send: its place among the declared ones, and whether its bytes follow the JSON."""

    place: int
    binary: bool


def wanted_outputs(
    requested: list[RequestedOutput] | None, parameters: dict[str, Any] | None, declared: Sequence[TensorSpec]
) -> list[WantedOutput]:
    """Read which outputs are wanted: all where none is named; JSON by default.

    Raises:
        BadRequest: an output is unknown or named twice, or a parameter is not offered.
    """
    default = flag(parameters, "binary_data_output", default=False)
    if not requested:
        return [WantedOutput(place, default) for place in range(len(declared))]
    places = {spec.name: index for index, spec in enumerate(declared)}
    names = [output.name for output in requested]
    if len(set(names)) != len(names) or not places.keys() >= set(names):
        asked = ", ".join(name[:40] for name in names[:8])
        raise BadRequest(f"the outputs asked for are [{asked}]; accepted are {', '.join(places)}, each once")
    for output in requested:
        if output.parameters and "classification" in output.parameters:
            raise BadRequest(f"output {output.name!r}: parameter classification is not offered")
    return [WantedOutput(places[o.name], flag(o.parameters, "binary_data", default=default)) for o in requested]


def flag(parameters: dict[str, Any] | None, name: str, default: bool) -> bool:
    """Read a parameter that is true or false.

    Raises:
        BadRequest: it is anything else.
    """
    value = (parameters or {}).get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"parameter {name} is {value!r}; accepted are true and false")
    return value


class OutputForm:
    """How the outputs that a request wants are written: as JSON objects, and as bytes that follow the JSON."""

    def __init__(self, declared: Sequence[TensorSpec], wanted: Sequence[WantedOutput]) -> None:
        self.binary = any(output.binary for output in wanted)
        self._declared = declared
        self._wanted = wanted

    def write(self, answers: list[Answer]) -> tuple[bytes, bytes]:
        """Return the JSON list of the outputs and the bytes that follow; the rows of a request have one length."""
        count, length = len(answers), answers[0].length
        columns = _columns(answers, self._declared, length)
        objects, tail = [], []
        for place, binary in self._wanted:
            spec, data = self._declared[place], columns[place]
            opening = _opening(spec, count, length)
            if binary:
                objects.append(b'%s"parameters":{"binary_data_size":%d}}' % (opening, len(data)))
                tail.append(data)
            else:
                objects.append(b'%s"data":%s}' % (opening, _encode(_numbers(data, spec.dtype))))
        return b"[%s]" % b",".join(objects), b"".join(tail)


@lru_cache(maxsize=1024)
def _opening(spec: TensorSpec, count: int, length: int) -> bytes:
    shape = count, *spec.sized(length)
    described = _encode(spec.name), _encode(DATATYPES[spec.dtype]), _encode(shape)
    return b'{"name":%s,"datatype":%s,"shape":%s,' % described


def _numbers(data: bytes, dtype: str) -> list[Any]:
    letter = _MEMORY_LETTERS.get(dtype)
    if letter is not None and sys.byteorder == "little":
        return memoryview(data).cast(letter).tolist()
    numbers: list[Any] = np.frombuffer(data, dtype).tolist()
    return numbers


def _columns(answers: list[Answer], declared: Sequence[TensorSpec], length: int) -> list[bytes]:
    if len(declared) == 1:
        return [b"".join([answer.data for answer in answers])]
    sizes = [spec.row_bytes(length) for spec in declared]
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [
        b"".join([answer.data[start : start + size] for answer in answers])
        for start, size in zip(starts, sizes, strict=True)
    ]
