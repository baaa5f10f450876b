"""What the simulation calls possible is possible, and no less."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.batching.limits import clairvoyant_capacity, fewest_missed, steady_limit
from bench.batching.play import capacity
from bench.batching.policies import Ours
from bench.batching.trace import PACED, Device, Request, poisson

SMALL = Device("small", 0.004, 0.0004, 0.0, 0.012, 3)


def missed_by_trying_all(arrivals: list[Request]) -> int:
    """Every choice of batches: each request is given up, joins the batch before it, or begins one."""
    fewest = len(arrivals)
    for choice in product("gjb", repeat=len(arrivals)):
        batches: list[list[float]] = []
        for letter, request in zip(choice, arrivals, strict=True):
            if letter == "b" or (letter == "j" and not batches):
                batches.append([request.at])
            elif letter == "j":
                batches[-1].append(request.at)
        free_at, in_time = 0.0, all(len(batch) <= SMALL.largest for batch in batches)
        for batch in batches:
            free_at = max(free_at, batch[-1]) + SMALL.seconds(len(batch), 1)
            in_time = in_time and free_at <= batch[0] + SMALL.budget_seconds
        if in_time:
            fewest = min(fewest, choice.count("g"))
    return fewest


@given(st.lists(st.floats(0.0, 0.006), min_size=1, max_size=6))
def test_the_fewest_missed_are_those_of_the_best_of_all_schedules(gaps: list[float]) -> None:
    at, arrivals = 0.0, []
    for gap in gaps:
        at += gap
        arrivals.append(Request(at, 1))
    assert fewest_missed(arrivals, SMALL, len(arrivals)) == missed_by_trying_all(arrivals)


def test_a_rule_reaches_less_than_who_knows_every_arrival_and_that_less_than_even_arrivals_allow() -> None:
    possible = clairvoyant_capacity(PACED, poisson, 3.0, 3)
    assert 0.9 * possible <= capacity(Ours, PACED, poisson, 3.0, 3) <= possible
    assert steady_limit(PACED) == pytest.approx(1850.0, rel=0.02)
