"""The response cache: its byte budget, its order of eviction, its keys."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.cache.choice import CANDIDATES, RuleChoice
from trimtab_engine.cache.eviction import LRU
from trimtab_engine.cache.response_cache import ResponseCache, entry_bytes
from trimtab_engine.jobs import Answer, TokenRow, input_key

ONE = entry_bytes(Answer(bytes(100), 1, "1/base"))


def a_key(number: int) -> bytes:
    return number.to_bytes(16, "big")


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 20), st.integers(0, 4000)),
        st.tuples(st.just("get"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("limit"), st.integers(0, 20000), st.just(0)),
    ),
    max_size=60,
)


@given(st.integers(0, 20000), steps)
def test_the_budget_holds_after_every_step_and_what_is_found_is_what_was_stored(
    limit: int, actions: list[tuple[str, int, int]]
) -> None:
    cache, stored = ResponseCache(limit), {}
    for action, number, size in actions:
        if action == "limit":
            cache.set_limit(number)
        elif action == "put":
            before = cache.get(a_key(number))
            cache.put(a_key(number), Answer(bytes(size), size, "1/base"))
            if before is None:
                stored[number] = Answer(bytes(size), size, "1/base")
        else:
            found = cache.get(a_key(number))
            assert found is None or found == stored[number]
        assert cache.size_bytes <= cache.limit_bytes
        present = [entry.answer for n in range(21) if (entry := cache._entries.get(a_key(n))) is not None]
        assert cache.size_bytes == sum(map(entry_bytes, present))


def test_the_least_recently_used_entry_leaves_first() -> None:
    cache = ResponseCache(3 * ONE)
    cache.set_eviction("LRU")
    for number in (1, 2, 3):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
    cache.get(a_key(1))
    cache.put(a_key(4), Answer(bytes(100), 1, "1/base"))
    assert [number for number in (1, 2, 3, 4) if cache.get(a_key(number))] == [1, 3, 4]
    assert cache.removals["room"] == 1


def test_a_smaller_budget_evicts_at_once_and_zero_turns_it_off() -> None:
    cache = ResponseCache(10 * ONE)
    for number in range(10):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
    cache.set_limit(2 * ONE)
    assert len(cache) == 2
    cache.set_limit(0)
    assert (len(cache), cache.size_bytes, cache.enabled) == (0, 0, False)
    cache.put(a_key(1), Answer(bytes(100), 1, "1/base"))
    assert len(cache) == 0


def test_a_large_cache_is_cut_short_in_slices_and_takes_nothing_meanwhile() -> None:
    cache = ResponseCache(1 << 30)
    for number in range(25_000):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
    cache.set_limit(2_000 * ONE)
    assert len(cache) == 15_000
    cache.put(a_key(99_999), Answer(bytes(100), 1, "1/base"))
    assert cache.get(a_key(99_999)) is None
    assert cache.get(a_key(24_999)) is not None
    assert cache.trim()
    assert not cache.trim()
    assert (len(cache), cache.removals["room"]) == (2_000, 23_000)
    cache.put(a_key(99_999), Answer(bytes(100), 1, "1/base"))
    assert cache.get(a_key(99_999)) is not None


def test_a_change_of_the_rule_keeps_every_entry_and_the_new_rule_decides_from_then_on() -> None:
    cache = ResponseCache(8 * ONE)
    cache.set_eviction("S3FIFO")
    for number in range(8):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
    for eviction in ("LRU", "Auto", "S3FIFO", "LRU"):
        cache.set_eviction(eviction)
        assert len(cache) == 8
    for number in range(7):
        assert cache.get(a_key(number)) is not None
    cache.put(a_key(8), Answer(bytes(100), 1, "1/base"))
    assert (cache.rule.name, cache.get(a_key(7)), len(cache)) == ("lru", None, 8)


def test_s3_fifo_keeps_what_was_used_twice_through_a_scan() -> None:
    cache = ResponseCache(20 * ONE)
    cache.set_eviction("S3FIFO")
    for number in range(5):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
        assert cache.get(a_key(number)) is not None
        assert cache.get(a_key(number)) is not None
    for number in range(100, 300):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
    assert all(cache.get(a_key(number)) is not None for number in range(5))


def test_an_entry_is_not_served_when_its_lifetime_is_over() -> None:
    cache = ResponseCache(10 * ONE, lifetime_seconds=5.0)
    cache.put(a_key(1), Answer(bytes(100), 1, "1/base"), now=100.0)
    assert cache.get(a_key(1), now=104.9) is not None
    assert cache.get(a_key(1), now=105.0) is None
    assert (cache.size_bytes, cache.removals["age"], cache.removals["room"]) == (0, 1, 0)


def test_an_entry_of_an_urgent_request_outlives_those_of_less_urgent_ones_under_every_rule() -> None:
    for eviction in ("LRU", "S3FIFO", "Auto"):
        cache = ResponseCache(3 * ONE)
        cache.set_eviction(eviction)
        cache.put(a_key(9), Answer(bytes(100), 1, "1/base"), priority=5)
        cache.put(a_key(0), Answer(bytes(100), 1, "1/base"), priority=0)
        for number in (1, 2, 3):
            cache.put(a_key(number), Answer(bytes(100), 1, "1/base"), priority=5)
        assert a_key(0) in cache._entries, eviction
        assert a_key(1) not in cache._entries, eviction


def test_auto_takes_the_rule_that_hits_more_and_keeps_it_through_noise() -> None:
    choice = RuleChoice()
    first = choice.rule
    behind = [0.50 if rule is first else 0.51 if rule is LRU else 0.40 for rule in CANDIDATES]
    close = [0.509 if rule is first else 0.511 if rule is LRU else 0.40 for rule in CANDIDATES]
    assert choice.judge(behind) is first
    assert choice.judge(close) is first
    assert choice.judge(behind) is first
    assert choice.judge(behind) is LRU
    assert choice.judge(close) is LRU


def test_a_budget_that_changes_much_between_two_windows_of_the_ghosts_disturbs_no_lookup() -> None:
    cache = ResponseCache(1_000 * ONE)
    cache.put(a_key(0), Answer(bytes(100), 1, "1/base"))
    for entries in (1_000, 10, 5_000, 0, 1_000):
        cache.set_limit(entries * ONE)
        for number in range(20_000):
            cache.see(number * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    assert cache.rule in CANDIDATES


def test_an_entry_larger_than_the_whole_budget_evicts_nothing() -> None:
    cache = ResponseCache(2 * ONE)
    cache.put(a_key(1), Answer(bytes(100), 1, "1/base"))
    cache.put(a_key(2), Answer(bytes(10_000), 1, "1/base"))
    assert cache.get(a_key(1)) is not None
    assert cache.get(a_key(2)) is None


def test_an_entry_is_charged_with_at_least_the_memory_that_it_takes() -> None:
    count = 20_000
    vectors = [np.full(384, number, np.float32) for number in range(10)]
    cache = ResponseCache(1 << 30)
    tracemalloc.start()
    for number in range(count):
        cache.put(a_key(number), Answer(vectors[number % 10].tobytes(), 300 + number, "1/base"))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken <= cache.size_bytes <= 1.3 * taken


def test_keys_differ_by_model_version_kind_and_content() -> None:
    ids = np.array([1, 2], dtype=np.int32)
    hidden = np.array([1, 0], dtype=np.uint8)
    keys = [
        input_key("m", "1", "a"),
        input_key("m", "2", "a"),
        input_key("n", "1", "a"),
        input_key("m", "1", "b"),
        input_key("m", "1", ""),
        input_key("m", "1", TokenRow(ids)),
        input_key("m", "1", TokenRow(ids, hidden)),
        input_key("m", "1", TokenRow(ids[:1])),
        input_key("m", "1", ids.tobytes().decode()),
    ]
    assert len(set(keys)) == len(keys)
    assert input_key("m", "1", TokenRow(ids.copy())) == input_key("m", "1", TokenRow(ids))
