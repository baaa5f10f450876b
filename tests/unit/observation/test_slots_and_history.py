"""Sharing by time slot, and series that are the same extended and rebuilt."""

from __future__ import annotations

import asyncio
import math

import pytest
from fakes.prometheus import FakePrometheus

from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.observation.history import Grid, HistoryStore, step_for
from trimtab_operator.observation.labels import PLAIN
from trimtab_operator.observation.prometheus import Answer, Row
from trimtab_operator.observation.slots import SlotCache, slot_time
from trimtab_operator.runtimes.select import RUNTIMES
from trimtab_operator.runtimes.table import render

QUERY = render(
    RUNTIMES["trimtab"].queries[Signal.QUEUE_REQUESTS].promql,
    window="20s",
    selector='namespace=~"prod"',
    namespace_label="namespace",
    pod_label="pod",
)
POD = ("prod", "llama-b5c5-bcdfg")


def test_a_slot_begins_at_a_multiple_of_five_seconds() -> None:
    assert [slot_time(at) for at in (100.0, 104.9, 105.0)] == [100.0, 100.0, 105.0]


async def test_what_is_asked_twice_in_a_slot_is_fetched_once_even_while_under_way() -> None:
    cache, fetched = SlotCache(), 0

    async def fetch() -> int:
        nonlocal fetched
        fetched += 1
        await asyncio.sleep(0)
        return fetched

    assert await asyncio.gather(*(cache.get(5, "a", fetch) for _ in range(3))) == [1, 1, 1]
    assert await cache.get(10, "a", fetch) == 2
    assert await cache.get(5, "a", fetch) == 1
    assert await cache.get(15, "a", fetch) == 3
    assert await cache.get(5, "a", fetch) == 4, "only two slots are kept"


async def test_a_failure_reaches_all_who_share_it_and_is_not_kept() -> None:
    cache, answers = SlotCache(), [OSError("away"), 7]

    async def fetch() -> int:
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return int(answer)

    results = await asyncio.gather(*(cache.get(5, "a", fetch) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    await asyncio.sleep(0)
    assert await cache.get(5, "a", fetch) == 7


async def test_one_that_gives_up_waiting_does_not_end_it_for_the_others() -> None:
    cache, go = SlotCache(), asyncio.Event()

    async def fetch() -> int:
        await go.wait()
        return 1

    first, second = (asyncio.ensure_future(cache.get(5, "a", fetch)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert await second == 1


@pytest.mark.parametrize(
    ("lookback", "scrape", "step"), [(1800, 5, 15), (1800, 30, 30), (300, 5, 5), (86400, 15, 900), (300, 2, 5)]
)
def test_a_step_gives_at_most_120_points_and_is_not_below_the_scrape_interval(
    lookback: int, scrape: int, step: int
) -> None:
    assert step_for(lookback, scrape) == step


def fake(values: object = 1.0) -> FakePrometheus:
    return FakePrometheus(lambda: [POD], values={Signal.QUEUE_REQUESTS: values})  # type: ignore[dict-item]


async def test_an_extended_series_equals_a_rebuilt_one() -> None:
    source = fake(lambda at: at % 97)
    living = HistoryStore(source)
    for now in range(1000, 1400, 7):
        grid = await living.extend(QUERY, PLAIN, 300, 15, now)
    rebuilt = await HistoryStore(fake(lambda at: at % 97)).extend(QUERY, PLAIN, 300, 15, now)
    assert grid.times == rebuilt.times
    assert list(grid.rows[POD]) == list(rebuilt.rows[POD])
    assert grid.times[0] % 15 == 0
    assert now - grid.times[-1] >= 5


async def test_only_what_is_new_is_fetched() -> None:
    source = fake()
    store = HistoryStore(source)
    await store.extend(QUERY, PLAIN, 300, 15, 1000)
    await store.extend(QUERY, PLAIN, 300, 15, 1001)
    await store.extend(QUERY, PLAIN, 300, 15, 1022)
    assert [(start, end) for _, start, end, _ in source.ranges] == [(690, 990), (1005, 1005)]


async def test_after_a_failed_fetch_the_known_points_stay_and_the_gap_is_closed_later() -> None:
    source = fake()
    store = HistoryStore(source)
    await store.extend(QUERY, PLAIN, 300, 15, 1000)
    source.down = True
    grid = await store.extend(QUERY, PLAIN, 300, 15, 1060)
    assert grid.state is SignalState.ERROR
    assert grid.times[-1] == 990
    source.down = False
    grid = await store.extend(QUERY, PLAIN, 300, 15, 1080)
    assert grid.state is SignalState.OK
    assert grid.times == list(range(765, 1076, 15))
    assert not any(map(math.isnan, grid.rows[POD]))


async def test_ticks_of_several_slots_that_wait_for_a_slow_answer_do_not_double_its_points() -> None:
    begun, go, asked = asyncio.Event(), asyncio.Event(), 0

    class Slow(FakePrometheus):
        async def over_range(self, query: str, start: int, end: int, step_seconds: int) -> Answer:
            nonlocal asked
            asked += 1
            begun.set()
            await go.wait()
            return await super().over_range(query, start, end, step_seconds)

    store = HistoryStore(Slow(lambda: [POD], values={Signal.QUEUE_REQUESTS: 1.0}))
    ticks = [asyncio.ensure_future(store.extend(QUERY, PLAIN, 300, 15, now)) for now in (1000, 1005, 1010)]
    await begun.wait()
    await asyncio.sleep(0)
    go.set()
    grid, *_ = await asyncio.gather(*ticks)
    assert grid.times == list(range(705, 1006, 15))
    assert len(grid.rows[POD]) == len(grid.times)
    assert asked == 2, "the third finds what the second got"


async def test_no_series_at_all_is_no_data() -> None:
    grid = await HistoryStore(FakePrometheus(list)).extend(QUERY, PLAIN, 300, 15, 1000)
    assert grid.state is SignalState.NO_DATA
    assert grid.rows == {}


def test_pods_come_and_go_and_holes_stay_holes() -> None:
    def answer(pod: str, *points: tuple[float, float]) -> Answer:
        return Answer(SignalState.OK, (Row({"namespace": "prod", "pod": pod}, points),))

    grid = Grid()
    old, new, other = "llama-b5c5-bcdfg", "llama-b5c5-zzzzz", "llama-chat-b5c5-bcdfg"
    grid.append([0, 15], answer(old, (0, 1.0), (15, 2.0)), PLAIN)
    grid.append([30], answer(new, (30, 3.0)), PLAIN)
    grid.append([45], answer(other, (45, 9.0)), PLAIN)
    values = {key: [None if math.isnan(each) else each for each in row] for key, row in grid.rows.items()}
    assert values["prod", old] == [1.0, 2.0, None, None]
    assert values["prod", new] == [None, None, 3.0, None]
    assert len(grid.of_deployment("prod", "llama")) == 2
    assert len(grid.of_deployment("prod", "llama-chat")) == 1
    assert grid.of_deployment("other", "llama") == []
    grid.drop_before(30)
    assert ("prod", old) not in grid.rows
    assert len(grid.of_deployment("prod", "llama")) == 1
    assert grid.times == [30, 45]
