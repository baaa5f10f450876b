"""Chores take the device when it is quiet, and a bounded share of its time when it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.chores import SHARE_UNDER_LOAD, ChoreAllowance


@given(st.lists(st.tuples(st.floats(0.001, 5.0), st.floats(0.0, 0.5)), min_size=1, max_size=60))
def test_chores_under_load_take_at_most_their_share_of_the_time_and_one_chore(steps: list[tuple[float, float]]) -> None:
    allowance, now, spent, last = ChoreAllowance(), 0.0, 0.0, 0.0
    allowance.may_start(now)
    for gap, seconds in steps:
        now += gap
        if allowance.may_start(now):
            now += seconds
            allowance.spend(now, seconds)
            spent, last = spent + seconds, seconds
    assert spent - last <= SHARE_UNDER_LOAD * now + 1e-9


def test_a_long_chore_is_paid_off_before_the_next() -> None:
    allowance = ChoreAllowance()
    assert not allowance.may_start(0.0)
    assert allowance.may_start(1.0)
    allowance.spend(1.2, 0.2)
    assert not allowance.may_start(10.0)
    assert allowance.may_start(11.0)


def test_a_long_quiet_time_saves_up_no_burst_of_chores() -> None:
    allowance = ChoreAllowance()
    allowance.may_start(0.0)
    assert allowance.may_start(10_000.0)
    allowance.spend(10_000.0, 0.1)
    assert not allowance.may_start(10_001.0)
    assert pytest.approx(0.02) == SHARE_UNDER_LOAD
