"""One simulated replica: when tokens come, what fits, and that nothing is lost however time is cut."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_replay.batching import Replica, Request, Served, ServingModel

MODEL = ServingModel(step_seconds=0.01, sequence_seconds=0.002, prompt_token_seconds=0.0001, overhead_seconds=0.03)


def a_request(number: int = 1, arrived: float = 0.0, prompt: int = 100, output: int = 11) -> Request:
    return Request(number, arrived, prompt, output)


def served(model: ServingModel, *requests: Request) -> list[Served]:
    replica = Replica(model)
    found = [each for request in requests for each in replica.arrive(request)]
    return found + replica.advance(1e9)


def test_a_request_alone_waits_for_its_prompt_and_then_gets_a_token_in_each_step() -> None:
    (only,) = served(MODEL, a_request())
    assert only.ttft_seconds == pytest.approx(100 * 0.0001 + 0.03)
    assert only.tpot_seconds == pytest.approx(0.012, rel=0.3)
    assert only.finished == pytest.approx(0.01 + 10 * 0.012 + 0.03)


def test_a_first_token_waits_for_steps_under_way() -> None:
    (only,) = served(replace(MODEL, first_token_steps=5.0), a_request())
    assert only.ttft_seconds == pytest.approx(0.01 + 5 * 0.012 + 0.03)


def test_the_more_sequences_run_the_longer_each_step_takes_and_a_prompt_keeps_the_others_waiting() -> None:
    alone = served(MODEL, a_request(output=101))[0]
    first, second = served(MODEL, a_request(1, output=101), a_request(2, prompt=5000, output=101))
    assert first.tpot_seconds > alone.tpot_seconds
    assert first.finished - alone.finished == pytest.approx(0.5 + 100 * 0.002, rel=0.1)
    assert second.first_token > 0.5


def test_a_request_for_one_token_ends_with_its_first() -> None:
    (only,) = served(MODEL, a_request(output=1))
    assert only.finished == only.first_token
    assert only.tpot_seconds == 0.0


def test_what_does_not_fit_waits_in_the_queue() -> None:
    replica = Replica(replace(MODEL, max_sequences=1))
    for number in (1, 2, 3):
        replica.arrive(a_request(number))
    replica.advance(0.05)
    assert (replica.running, replica.waiting) == (1, 2)
    full = Replica(replace(MODEL, kv_tokens=150))
    for number in (1, 2):
        full.arrive(a_request(number))
    full.advance(0.05)
    assert (full.running, full.waiting) == (1, 1)
    assert full.kv_ratio == pytest.approx(111 / 150)


def test_a_request_larger_than_the_whole_cache_is_served_alone() -> None:
    assert len(served(replace(MODEL, kv_tokens=50), a_request(1), a_request(2))) == 2


def test_a_replica_without_work_is_not_busy_and_has_nothing_ahead() -> None:
    replica = Replica(MODEL)
    replica.advance(10.0)
    assert (replica.busy_seconds, replica.next_change(), replica.kv_ratio) == (0.0, math.inf, 0.0)
    replica.arrive(a_request(arrived=10.0))
    replica.advance(20.0)
    assert replica.busy_seconds == pytest.approx(0.01 + 10 * 0.012)


REQUESTS = st.lists(
    st.tuples(st.floats(0.0, 5.0), st.integers(1, 500), st.integers(1, 60)), min_size=1, max_size=25
).map(lambda found: [Request(number, *each) for number, each in enumerate(sorted(found))])


@given(REQUESTS, st.floats(0.01, 1.0))
def test_nothing_is_lost_or_answered_twice_however_time_is_cut(requests: list[Request], cut: float) -> None:
    model = replace(MODEL, first_token_steps=2.0, kv_tokens=900, max_sequences=6)
    whole = served(model, *requests)
    replica, pieces, now = Replica(model), list[Served](), 0.0
    for request in requests:
        while now + cut < request.arrived:
            now += cut
            pieces += replica.advance(now)
        pieces += replica.arrive(request)
        now = request.arrived
    pieces += replica.advance(1e9)
    assert sorted(each.request.number for each in whole) == [each.number for each in requests]
    assert [each.request.number for each in pieces] == [each.request.number for each in whole]
    for one, other in zip(whole, pieces, strict=True):
        assert other.finished == pytest.approx(one.finished, abs=1e-6)
        assert other.first_token == pytest.approx(one.first_token, abs=1e-6)
    assert all(each.request.arrived < each.first_token <= each.finished for each in whole)


@given(REQUESTS)
def test_prompts_are_read_in_the_order_in_which_they_came(requests: list[Request]) -> None:
    by_first = sorted(served(MODEL, *requests), key=lambda each: (each.first_token, each.request.number))
    assert [each.request.number for each in by_first] == [each.number for each in requests]
