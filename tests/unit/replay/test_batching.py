"""One simulated replica: when tokens come, what fits, and that nothing is lost however time is cut."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_replay.answers import Answers
from trimtab_replay.replica import Replica
from trimtab_replay.serving import ServingModel

MODEL = ServingModel(step_seconds=0.01, sequence_seconds=0.002, prompt_token_seconds=0.0001, overhead_seconds=0.03)
Request = tuple[float, int, int]
"""When it came, and the tokens of its prompt and of its answer."""


def a_request(arrived: float = 0.0, prompt: int = 100, output: int = 11) -> Request:
    return arrived, prompt, output


def served(model: ServingModel, *requests: Request) -> Answers:
    replica = Replica(model, len(requests))
    for request in requests:
        replica.arrive(*request)
    replica.advance(1e9)
    return replica.answered


def test_a_request_alone_waits_for_its_prompt_and_then_gets_a_token_in_each_step() -> None:
    only = served(MODEL, a_request())
    assert only.ttft_seconds == pytest.approx([100 * 0.0001 + 0.03])
    assert only.tpot_seconds == pytest.approx([0.012], rel=0.3)
    assert only.finished == pytest.approx([0.01 + 10 * 0.012 + 0.03])


def test_a_first_token_waits_for_steps_under_way() -> None:
    only = served(replace(MODEL, first_token_steps=5.0), a_request())
    assert only.ttft_seconds == pytest.approx([0.01 + 5 * 0.012 + 0.03])


def test_the_more_sequences_run_the_longer_each_step_takes_and_a_prompt_keeps_the_others_waiting() -> None:
    alone = served(MODEL, a_request(output=101))
    both = served(MODEL, a_request(output=101), a_request(prompt=5000, output=101))
    assert both.tpot_seconds[0] > alone.tpot_seconds[0]
    assert both.finished[0] - alone.finished[0] == pytest.approx(0.5 + 100 * 0.002, rel=0.1)
    assert both.first_token[1] > 0.5


def test_a_request_for_one_token_ends_with_its_first() -> None:
    only = served(MODEL, a_request(output=1))
    assert only.finished.tolist() == only.first_token.tolist()
    assert only.tpot_seconds.tolist() == [0.0]


def test_what_does_not_fit_waits_in_the_queue() -> None:
    replica = Replica(replace(MODEL, max_sequences=1), 3)
    for _ in range(3):
        replica.arrive(*a_request())
    replica.advance(0.05)
    assert (replica.running, replica.waiting) == (1, 2)
    full = Replica(replace(MODEL, kv_tokens=150), 2)
    for _ in range(2):
        full.arrive(*a_request())
    full.advance(0.05)
    assert (full.running, full.waiting) == (1, 1)
    assert full.kv_ratio == pytest.approx(111 / 150)


def test_a_request_larger_than_the_whole_cache_is_served_alone() -> None:
    assert len(served(replace(MODEL, kv_tokens=50), a_request(), a_request())) == 2


def test_a_replica_without_work_has_nothing_ahead() -> None:
    replica = Replica(MODEL, 1)
    replica.advance(10.0)
    assert (replica.now, replica.running, replica.next_change, replica.kv_ratio) == (10.0, 0, math.inf, 0.0)


REQUESTS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.integers(1, 500), st.integers(1, 60)), min_size=1, max_size=25
).map(sorted)


@given(REQUESTS, st.floats(0.01, 1.0))
def test_nothing_is_lost_or_answered_twice_however_time_is_cut(requests: list[Request], cut: float) -> None:
    model = replace(MODEL, first_token_steps=2.0, kv_tokens=900, max_sequences=6)
    whole = served(model, *requests)
    replica, now = Replica(model, len(requests)), 0.0
    for request in requests:
        while now + cut < request[0]:
            now += cut
            replica.advance(now)
        replica.arrive(*request)
        now = request[0]
    replica.advance(1e9)
    pieces = replica.answered
    assert sorted(whole.arrived.tolist()) == [each[0] for each in requests]
    assert pieces.arrived.tolist() == whole.arrived.tolist()
    assert pieces.finished == pytest.approx(whole.finished, abs=1e-6)
    assert pieces.first_token == pytest.approx(whole.first_token, abs=1e-6)
    assert (whole.arrived < whole.first_token).all()
    assert (whole.first_token <= whole.finished).all()


@given(REQUESTS)
def test_prompts_are_read_in_the_order_in_which_they_came(requests: list[Request]) -> None:
    found = served(MODEL, *requests)
    by_first = found.arrived[found.begun.argsort(kind="stable")]
    assert by_first.tolist() == sorted(by_first.tolist())
