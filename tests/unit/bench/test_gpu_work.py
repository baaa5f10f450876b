"""What a pass through a BERT must compute and move at the least."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gpu.work import Numbers, Operation, Tokens, floor_seconds, operations, total_flops
from trimtab_engine.worker.bert import BertShape

SHAPE = BertShape(
    vocabulary=100, positions=64, token_types=2, width=8, inner_width=32, layers=3, heads=2, epsilon=1e-12,
    activation="gelu",
)  # fmt: skip
FLOAT32 = Numbers("fp32", "fp32", 4, 4)
EIGHT_BITS = Numbers("fp8", "fp32", 4, 1)
BATCH = Tokens(count=20, rows=4, length=6)


def test_the_products_of_a_pass_are_those_of_its_linear_layers_and_of_attention_over_padded_rows() -> None:
    linear = 2 * 20 * (4 * 8 * 8 + 2 * 8 * 32)
    attention = 4 * 4 * 6 * 6 * 8
    assert total_flops(list(operations(SHAPE, BATCH, FLOAT32))) == 3 * (linear + attention)


def test_weights_of_8_bits_leave_the_products_and_move_a_quarter_of_the_bytes_of_weights() -> None:
    plain, small = (list(operations(SHAPE, BATCH, numbers)) for numbers in (FLOAT32, EIGHT_BITS))
    saved = sum(one.moved_bytes - other.moved_bytes for one, other in zip(plain, small, strict=True))
    assert total_flops(plain) == total_flops(small)
    assert saved == 3 * 3 * (4 * 8 * 8 + 2 * 8 * 32)


@pytest.mark.parametrize(
    ("operation", "seconds"),
    [
        pytest.param(Operation(100.0, 10.0, "fp32"), 10.0, id="bound by arithmetic"),
        pytest.param(Operation(100.0, 400.0, "fp32"), 20.0, id="bound by memory"),
        pytest.param(Operation(0.0, 400.0), 20.0, id="without a product"),
    ],
)
def test_an_operation_takes_the_longer_of_its_arithmetic_and_its_bytes(operation: Operation, seconds: float) -> None:
    assert floor_seconds([operation], {"fp32": 10.0}, 20.0) == seconds


@given(rate=st.floats(1e3, 1e12), bandwidth=st.floats(1e3, 1e12), faster=st.floats(1.0, 10.0))
def test_a_faster_card_never_has_a_later_floor_and_none_lies_below_the_products_alone(
    rate: float, bandwidth: float, faster: float
) -> None:
    found = list(operations(SHAPE, BATCH, FLOAT32))
    floor = floor_seconds(found, {"fp32": rate}, bandwidth)
    assert floor_seconds(found, {"fp32": rate * faster}, bandwidth * faster) <= floor * (1 + 1e-9)
    assert floor >= total_flops(found) / rate * (1 - 1e-9)
