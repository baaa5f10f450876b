"""Rows into a slot, as dense tensors padded to the longest, and a slot's answers out again, one per row."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab_engine.jobs import Row
from trimtab_engine.signature import Signature, TensorSpec
from trimtab_engine.slots import Slot, TensorPlace, place_batch


def pack(slot: Slot, signature: Signature, rows: Sequence[Row]) -> list[TensorPlace]:
    """Write rows into the slot; the filling of shorter ones is zero."""
    length = max(row.length for row in rows)
    places = place_batch(signature.inputs, len(rows), length)
    columns = zip(*(row.tensors for row in rows), strict=True)
    for spec, place, column in zip(signature.inputs, places, columns, strict=True):
        view = slot.view(place)
        if not spec.padded:
            for index, tensor in enumerate(column):
                view[index] = tensor
            continue
        view[:] = 0
        for index, (row, tensor) in enumerate(zip(rows, column, strict=True)):
            view[index][spec.corner(row.length)] = tensor
    return places


def cut(slot: Slot, places: Sequence[TensorPlace], specs: Sequence[TensorSpec], lengths: Sequence[int]) -> list[bytes]:
    """Return each row's answer: its outputs in the declared order, little-endian, without the filling."""
    columns = [_cut_one(slot, place, spec, lengths) for place, spec in zip(places, specs, strict=True)]
    if len(columns) == 1:
        return columns[0]
    return [b"".join(parts) for parts in zip(*columns, strict=True)]


def _cut_one(slot: Slot, place: TensorPlace, spec: TensorSpec, lengths: Sequence[int]) -> list[bytes]:
    view = slot.view(place)
    if spec.padded:
        return [view[index][spec.corner(length)].tobytes() for index, length in enumerate(lengths)]
    data, size = view.tobytes(), view.nbytes // len(lengths)
    return [data[start : start + size] for start in range(0, len(data), size)]
