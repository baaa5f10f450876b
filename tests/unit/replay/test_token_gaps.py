"""Times between tokens are what the event model would show if it stepped from token to token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_replay.closed_loop import Lengths, play_closed_loop
from trimtab_replay.replica import Replica
from trimtab_replay.serving import ServingModel
from trimtab_replay.token_gaps import token_gaps

MODEL = ServingModel(0.010, 0.001, 1e-3, overhead_seconds=0.5)


def answered(replica: Replica) -> Replica:
    while np.isfinite(replica.next_change):
        replica.advance(replica.next_change)
    return replica


def test_alone_every_token_takes_one_step() -> None:
    replica = Replica(MODEL, 1)
    replica.arrive(3.0, 10, 5)
    gaps = token_gaps(MODEL, answered(replica).taken, np.array([0]))
    assert gaps.tolist() == pytest.approx([0.011] * 4, abs=1e-6)


def test_a_gap_holds_the_prompt_that_is_read_in_it_and_steps_are_longer_while_that_answer_is_written() -> None:
    replica = Replica(MODEL, 2)
    replica.arrive(0.0, 10, 6)
    replica.arrive(0.010 + 2.5 * 0.011, 100, 3)  # in the middle of the third gap, gone in the middle of the fifth
    gaps = token_gaps(MODEL, answered(replica).taken, np.array([0]))
    assert gaps.tolist() == pytest.approx([0.011, 0.011, 0.5 * 0.011 + 0.1 + 0.5 * 0.012, 0.012, 0.0115], abs=1e-6)


def test_a_prompt_that_comes_with_a_token_is_read_after_it() -> None:
    replica = Replica(MODEL, 2)
    replica.arrive(0.0, 10, 4)
    replica.arrive(0.010 + 0.011, 100, 1)
    gaps = token_gaps(MODEL, answered(replica).taken, np.array([0]))
    assert gaps.tolist() == pytest.approx([0.011, 0.111, 0.011], abs=1e-6)


@given(st.integers(1, 12), st.integers(1, 8), st.sampled_from([0.0, 3.5]), st.integers(0, 99))
def test_the_gaps_of_an_answer_are_positive_and_sum_to_its_time_after_the_first_token(
    clients: int, limit: int, steps: float, seed: int
) -> None:
    model = ServingModel(0.01, 0.001, 1e-4, steps, 0.02, max_sequences=limit)
    lengths = Lengths(50.0, 9.0, lambda dice: dice.exponential())
    taken = play_closed_loop(model, clients, lengths, 3 * clients, np.random.default_rng(seed)).taken
    which = np.flatnonzero(~np.isnan(taken.finished))
    gaps = token_gaps(model, taken, which)
    ends = np.cumsum(taken.output_tokens[which].astype(int) - 1)
    sums = np.diff(np.concatenate([[0.0], np.cumsum(gaps)])[ends], prepend=0.0)
    assert len(gaps) == ends[-1]
    assert (gaps > 0.0).all()
    assert sums == pytest.approx((taken.finished - taken.first_token)[which], abs=1e-5)
