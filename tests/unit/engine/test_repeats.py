"""The estimate of repeated inputs: its share is right, its memory bounded, its price small."""

from __future__ import annotations

import random
import timeit

import numpy as np
import pytest

from trimtab_engine.jobs import TokenRow
from trimtab_engine.repeats import RepeatSample


def test_the_share_of_repeats_is_that_of_the_traffic() -> None:
    sample, random_source = RepeatSample(), random.Random(7)
    asked = [f"sentence {random_source.randrange(6000)} of many" for _ in range(30_000)]
    sample.see(asked)
    share = 1 - len(set(asked)) / len(asked)
    assert sample.inputs == pytest.approx(len(asked) / 8, rel=0.25)
    assert sample.repeats / sample.inputs == pytest.approx(share, abs=0.05)


def test_inputs_that_never_repeat_have_no_repeats_and_take_bounded_memory() -> None:
    sample = RepeatSample()
    sample.see([f"only once {number}" for number in range(60_000)])
    assert sample.repeats == 0
    assert len(sample) == 4096


def test_token_rows_repeat_by_content_and_mask() -> None:
    def rows(mask: list[int] | None) -> list[TokenRow]:
        hidden = None if mask is None else np.array(mask, np.uint8)
        return [TokenRow(np.array([101, number], np.int32), hidden) for number in range(400)]

    sample = RepeatSample()
    sample.see(rows(None))
    sample.see(rows([1, 1]))
    assert sample.repeats == 0
    seen = sample.inputs
    assert seen > 0
    sample.see(rows([1, 1]))
    sample.see(rows(None))
    assert sample.repeats == seen


def test_an_input_costs_about_a_microsecond_at_most() -> None:
    texts = [f"a sentence of usual length with the number {number} in it" for number in range(20_000)]
    fastest = min(timeit.repeat(lambda: RepeatSample().see(texts), number=1, repeat=9))
    assert fastest / len(texts) < 3e-6  # a microsecond, with room for a machine that others use too
