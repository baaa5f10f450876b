"""Rows through a slot: what goes in per row comes out per row, whatever its neighbours' lengths."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.jobs import TensorRow, TokenRow
from trimtab_engine.packing import cut, pack
from trimtab_engine.signature import DATATYPES, Signature, TensorSpec, text_signature
from trimtab_engine.slots import SLOT_BYTES, Slot, create_memory, end_of, place_batch, rows_that_fit


@pytest.fixture(scope="module")
def slot() -> Slot:
    descriptor = create_memory()
    made = Slot(descriptor)
    os.close(descriptor)
    return made


specs = st.lists(
    st.tuples(st.sampled_from(list(DATATYPES)), st.lists(st.sampled_from([-1, 1, 2, 3]), max_size=3)).filter(
        lambda spec: spec[1].count(-1) < 2
    ),
    min_size=1,
    max_size=3,
)


@given(specs, st.lists(st.integers(1, 5), min_size=1, max_size=4), st.randoms())
def test_what_a_model_copies_comes_back_row_by_row(
    slot: Slot, declared: list[tuple[str, list[int]]], lengths: list[int], random: np.random.Generator
) -> None:
    tensors = tuple(TensorSpec(f"t{n}", dtype, tuple(shape)) for n, (dtype, shape) in enumerate(declared))
    signature = Signature(tensors, tensors, max_length=5)
    numbers = np.random.default_rng(random.randint(0, 1 << 30))  # type: ignore[attr-defined]
    rows = [
        TensorRow(tuple(numbers.integers(0, 2, spec.sized(length)).astype(spec.dtype) for spec in tensors), length)
        for length in lengths
    ]
    places = pack(slot, signature, rows)
    outputs = place_batch(tensors, len(rows), max(lengths), end_of(places))
    for source, target in zip(places, outputs, strict=True):
        slot.view(target)[:] = slot.view(source)
    expected = [b"".join(tensor.tobytes() for tensor in row.tensors) for row in rows]
    assert cut(slot, outputs, tensors, lengths) == expected


def test_shorter_texts_are_filled_with_zeros_that_the_mask_hides(slot: Slot) -> None:
    slot.view(place_batch(text_signature(4, 8).inputs, 2, 3)[0])[:] = 9  # what an earlier batch left
    hidden = np.array([1, 0], np.uint8)
    rows = [TokenRow(np.array([5, 6, 7], np.int32)), TokenRow(np.array([8, 9], np.int32), hidden)]
    ids, mask = (slot.view(place) for place in pack(slot, text_signature(4, 8), rows))
    assert ids.tolist() == [[5, 6, 7], [8, 9, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@given(st.integers(1, 40), st.integers(1, 4096))
def test_as_many_of_the_longest_rows_fit_as_is_said(rows_per_slot: int, odd: int) -> None:
    size = SLOT_BYTES // rows_per_slot - odd
    signature = Signature((TensorSpec("x", "uint8", (size,)),), (TensorSpec("y", "float32", (3,)),))
    rows = rows_that_fit(signature)
    inputs = place_batch(signature.inputs, rows, 1)
    assert end_of(place_batch(signature.outputs, rows, 1, end_of(inputs))) <= SLOT_BYTES
    assert end_of(place_batch(signature.inputs, rows + 1, 1)) > SLOT_BYTES - (rows + 1) * 12 - 128


def test_a_place_beyond_the_slot_is_no_tensor(slot: Slot) -> None:
    (place,) = place_batch((TensorSpec("x", "uint8", (SLOT_BYTES,)),), 1, 1, offset=1)
    with pytest.raises(TypeError):
        slot.view(place)
