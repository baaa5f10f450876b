"""The past of a target: what is asked, how often, and what a gap, a failure and a short memory come to."""

from __future__ import annotations

import pytest
from fakes.prometheus import FakePrometheus
from fakes.stands import attached_pods

from trimtab_api.findings import TrendSpan
from trimtab_operator.model.past import Past, Quantity
from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.model.slope import NoSlope
from trimtab_operator.observation.batch import Batch
from trimtab_operator.observation.feeds import Feed
from trimtab_operator.observation.labels import PLAIN
from trimtab_operator.observation.look import Look
from trimtab_operator.observation.past import PastStore
from trimtab_operator.observation.prometheus import Answer
from trimtab_operator.observation.readings import Scope
from trimtab_operator.runtimes.select import trend_queries_for

HOUR, DAY, WEEK = TrendSpan.HOUR, TrendSpan.DAY, TrendSpan.WEEK
NOW = 1_800_000_305.0  # five seconds after a step of five minutes, when it has settled
PODS = ("llama-b5c5-bcdfg", "llama-b5c5-zzzzz")
PERCENTILES = {Signal.LATENCY_SECONDS: 95}
QUERIES = tuple(
    query
    for query in trend_queries_for("trimtab", "none", PERCENTILES)
    if query.signal in {Signal.REQUESTS_PER_SECOND, Signal.CACHE_HIT_RATIO, Signal.LATENCY_SECONDS}
)


class Room:
    """A store and a Prometheus, for one target or more."""

    def __init__(self, prometheus: FakePrometheus) -> None:
        self.store = PastStore()
        self.batch = Batch(prometheus, lambda: ("prod",))

    async def read(self, now: float = NOW, target: str = "llama") -> Past:
        feed = Feed(PLAIN, SignalState.OK)
        look = Look(self.batch, {"engine": feed, "agent": feed}, Scope("prod", target, attached_pods(2), now, 5.0))
        return await self.store.read(look, QUERIES, PERCENTILES)


@pytest.fixture
def prometheus() -> FakePrometheus:
    return FakePrometheus(
        lambda: [("prod", pod) for pod in PODS],
        values={Signal.REQUESTS_PER_SECOND: lambda at: at - NOW, Signal.CACHE_HIT_RATIO: 0.5},
        percentiles={Signal.LATENCY_SECONDS: 0.25},
    )


async def test_each_span_has_its_steps_and_the_time_of_the_last(prometheus: FakePrometheus) -> None:
    past = await Room(prometheus).read()
    rates = {span: past.steps[span][Signal.REQUESTS_PER_SECOND] for span in TrendSpan}
    newest = (NOW - 5.0) // 7200 * 7200
    assert past.until == {HOUR: NOW - 5.0, DAY: newest, WEEK: newest - 43_200.0}
    assert {span: len(steps) for span, steps in rates.items()} == {HOUR: 12, DAY: 12, WEEK: 7}
    # Two pods, each with the seconds after NOW as its rate.
    assert [rates[HOUR][-1], rates[HOUR][0]] == [2 * -5.0, 2 * (-5.0 - 11 * 300.0)]
    assert rates[DAY][-1] == 2 * (newest - NOW)
    assert rates[WEEK][-1] == pytest.approx(2 * (newest - NOW - 5.5 * 7200.0))
    assert past.steps[HOUR][Signal.CACHE_HIT_RATIO] == (0.5,) * 12
    assert (past.steps[WEEK][Signal.LATENCY_SECONDS], past.percentiles) == ((0.25,) * 7, PERCENTILES)


async def test_it_is_asked_twice_for_each_signal_and_then_only_for_what_is_new(prometheus: FakePrometheus) -> None:
    room = Room(prometheus)
    first = await room.read()
    assert len(prometheus.ranges) == 2 * len(QUERIES)
    assert {(end - start, step) for _, start, end, step in prometheus.ranges} == {(3600, 300), (604_800, 7200)}
    prometheus.ranges.clear()
    assert await room.read(NOW + 299.0) is first
    assert prometheus.ranges == []
    assert await room.read(NOW + 300.0) is not first
    assert [(end - start, step) for _, start, end, step in prometheus.ranges] == [(0, 300)] * len(QUERIES)


async def test_a_restarted_operator_sees_the_past_that_the_living_one_saw(prometheus: FakePrometheus) -> None:
    living = Room(prometheus)
    for now in range(int(NOW), int(NOW) + 3000, 70):
        seen = await living.read(now)
        assert seen == await Room(prometheus).read(now)


async def test_two_targets_share_the_answers_and_see_their_own_pods(prometheus: FakePrometheus) -> None:
    room = Room(prometheus)
    await room.read()
    asked = len(prometheus.ranges)
    other = await room.read(target="other")
    assert len(prometheus.ranges) == asked
    assert set(other.steps[HOUR][Signal.REQUESTS_PER_SECOND]) == {None}


async def test_gaps_stay_gaps_and_a_day_needs_half_of_its_steps(prometheus: FakePrometheus) -> None:
    end = (await Room(prometheus).read()).until[DAY]

    def there(at: float) -> float | None:
        return None if end - 5 * 7200.0 < at <= end or end - 31 * 7200.0 < at <= end - 24 * 7200.0 else 0.5

    prometheus.values[Signal.CACHE_HIT_RATIO] = there
    past = await Room(prometheus).read()
    assert past.steps[DAY][Signal.CACHE_HIT_RATIO] == (0.5,) * 7 + (None,) * 5
    assert past.steps[WEEK][Signal.CACHE_HIT_RATIO] == (0.5, 0.5, 0.5, 0.5, None, 0.5, 0.5)
    assert None in past.steps[HOUR][Signal.CACHE_HIT_RATIO]


async def test_the_first_failure_ends_the_round_for_every_target_until_five_minutes_later(
    prometheus: FakePrometheus,
) -> None:
    room = Room(prometheus)
    await room.read(target="known")
    asked = len(prometheus.ranges)
    prometheus.down = True
    past = await room.read(NOW + 300.0)
    assert (past.message, past.steps) == ("Prometheus did not answer: connection refused", {})
    prometheus.down = False
    assert await room.read(NOW + 599.0) == past
    assert await room.read(NOW + 599.0, target="other") == past
    assert len(prometheus.ranges) == asked + 1
    assert (await room.read(NOW + 600.0)).message == ""


async def test_a_week_that_is_too_much_for_prometheus_leaves_no_half_of_a_past() -> None:
    class Young(FakePrometheus):
        async def over_range(self, query: str, start: int, end: int, step_seconds: int) -> Answer:
            self.down = end - start > 86_400
            return await super().over_range(query, start, end, step_seconds)

    prometheus = Young(lambda: [("prod", pod) for pod in PODS], values={Signal.REQUESTS_PER_SECOND: 1.0})
    past = await Room(prometheus).read()
    assert (past.steps, past.percentiles) == ({}, PERCENTILES)
    assert len(prometheus.ranges) == 2
    reasons = {each.reason for each in past.trends[Quantity.THROUGHPUT].values() if isinstance(each, NoSlope)}
    assert reasons == {"Prometheus did not answer: connection refused"}


async def test_the_least_recently_read_target_is_forgotten(
    prometheus: FakePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab_operator.observation.past.REMEMBERED", 1)
    room = Room(prometheus)
    first = await room.read()
    await room.read(target="other")
    assert await room.read() is not first
