"""What a pass through a BERT has to compute and to move at the least, and how long that takes at given ceilings. Pure.

The floor is the sum over operations of the longer of operations / rate and bytes / bandwidth (Williams, Waterman and
Patterson, Roofline, 2009): the rate of a large product alone is out of reach for an encoder whose norms, activations
and residuals are passes of their own. Each operation reads its inputs once and writes its output once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trimtab_engine.worker.bert import BertShape


@dataclass(frozen=True)
class Tokens:
    """A batch: tokens that count, and rows padded to a length, over which attention goes."""

    count: int
    rows: int
    length: int


@dataclass(frozen=True)
class Numbers:
    """In which formats a pass computes: the names of the ceilings, and the bytes of a number."""

    linear: str
    attention: str
    activation_bytes: int
    weight_bytes: int


@dataclass(frozen=True)
class Operation:
    """One operation of a pass; `ceiling` names the rate that bounds it, empty where bytes alone do."""

    flops: float
    moved_bytes: float
    ceiling: str = ""


def operations(shape: BertShape, tokens: Tokens, numbers: Numbers) -> Iterator[Operation]:
    """Yield the operations of a pass."""
    vectors = tokens.count * shape.width * numbers.activation_bytes
    yield Operation(0.0, 4 * vectors)  # three embeddings and their sum
    yield Operation(0.0, 2 * vectors)  # its norm
    for _ in range(shape.layers):
        yield from _layer(shape, tokens, numbers)


def _layer(shape: BertShape, tokens: Tokens, numbers: Numbers) -> Iterator[Operation]:
    width, inner = shape.width, shape.inner_width
    vectors = tokens.count * width * numbers.activation_bytes
    for inputs, outputs in ((width, 3 * width), (width, width), (width, inner), (inner, width)):
        moved = tokens.count * (inputs + outputs) * numbers.activation_bytes + inputs * outputs * numbers.weight_bytes
        yield Operation(2.0 * tokens.count * inputs * outputs, moved, numbers.linear)
    scores = 4.0 * tokens.rows * tokens.length**2 * width
    yield Operation(scores, 4 * tokens.rows * tokens.length * width * numbers.activation_bytes, numbers.attention)
    yield Operation(0.0, 2 * tokens.count * inner * numbers.activation_bytes)  # the activation
    for _ in range(2):
        yield Operation(0.0, 3 * vectors)  # a residual
        yield Operation(0.0, 2 * vectors)  # its norm


def total_flops(found: list[Operation]) -> float:
    """Return the operations of a pass in products: two for each multiplication with its addition."""
    return sum(each.flops for each in found)


def floor_seconds(found: list[Operation], flops_per_second: Mapping[str, float], bytes_per_second: float) -> float:
    """Return the least time of a pass at these ceilings."""
    return sum(
        max(each.flops / flops_per_second[each.ceiling] if each.ceiling else 0.0, each.moved_bytes / bytes_per_second)
        for each in found
    )
