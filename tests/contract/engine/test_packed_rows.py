"""Attention within the rows of a batch, packed for a CPU and for a GPU, against each row alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trimtab_engine.worker.packed_rows import PaddedRows, RowsByLength, spread

HEADS, WIDTH = 2, 4
MASKS = {
    "of several lengths": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]],
    "of one length": [[1, 1], [1, 1], [1, 1]],
    "with holes": [[1, 0, 1, 1], [0, 0, 0, 1]],
    "one of them empty": [[0, 0, 0], [1, 1, 0]],
    "all of them empty": [[0, 0], [0, 0]],
}


def each_alone(rows: list[Tensor], mask: Tensor) -> Tensor:
    answer = torch.zeros_like(rows[0])
    for number, counts in enumerate(mask):
        q, k, v = (x[number, counts].transpose(0, 1) for x in rows)
        answer[number, counts] = functional.scaled_dot_product_attention(q, k, v).transpose(0, 1)
    return answer


@pytest.mark.parametrize("packing", [RowsByLength, PaddedRows])
@pytest.mark.parametrize("mask", [torch.tensor(mask, dtype=torch.bool) for mask in MASKS.values()], ids=list(MASKS))
def test_each_row_attends_to_its_own_tokens_that_count_and_to_no_padding(
    packing: type[RowsByLength | PaddedRows], mask: Tensor
) -> None:
    generator = torch.Generator().manual_seed(7)
    rows = [torch.randn(*mask.shape, HEADS, WIDTH, generator=generator) for _ in range(3)]
    packed = packing(mask)
    tokens = [x.flatten(0, 1)[packed.places] for x in rows]
    assert len(packed.places) == int(mask.sum())
    attended = spread(packed.attend(*tokens), packed.places, mask.shape)
    torch.testing.assert_close(attended, each_alone(rows, mask), rtol=0, atol=1e-6)
