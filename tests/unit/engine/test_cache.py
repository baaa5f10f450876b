"""The response cache: its byte budget, its order of eviction, its keys."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trimtab_engine.cache import ResponseCache, entry_bytes
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
        present = [answer for n in range(21) if (answer := cache._entries.get(a_key(n))) is not None]
        assert cache.size_bytes == sum(map(entry_bytes, present))


def test_the_least_recently_used_entry_leaves_first() -> None:
    cache = ResponseCache(3 * ONE)
    for number in (1, 2, 3):
        cache.put(a_key(number), Answer(bytes(100), 1, "1/base"))
    cache.get(a_key(1))
    cache.put(a_key(4), Answer(bytes(100), 1, "1/base"))
    assert [number for number in (1, 2, 3, 4) if cache.get(a_key(number))] == [1, 3, 4]
    assert cache.evictions == 1


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
    assert (len(cache), cache.evictions) == (2_000, 23_000)
    cache.put(a_key(99_999), Answer(bytes(100), 1, "1/base"))
    assert cache.get(a_key(99_999)) is not None


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
