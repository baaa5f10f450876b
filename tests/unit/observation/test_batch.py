"""Answers about times that are over: asked of Prometheus once, and for one namespace only."""

from __future__ import annotations

from fakes.prometheus import FakePrometheus

from trimtab_operator.model.signals import Signal, SignalState
from trimtab_operator.observation.batch import REMEMBERED, Batch
from trimtab_operator.observation.labels import PLAIN
from trimtab_operator.runtimes.select import RUNTIMES

BUSY = RUNTIMES["trimtab"].queries[Signal.BUSY_RATIO].promql


def a_prometheus() -> FakePrometheus:
    return FakePrometheus(lambda: [("prod", "chat-0")], values={Signal.BUSY_RATIO: lambda at: at / 1000.0})


async def test_an_answer_about_the_past_is_asked_once_for_each_time_and_namespace() -> None:
    prometheus = a_prometheus()
    batch = Batch(prometheus, lambda: ("prod", "test"))
    query = batch.text_of_one(BUSY, PLAIN, 40.0, "prod")
    assert 'namespace=~"prod"' in query
    for at in (100.0, 200.0, 100.0, 200.0):
        answer = await batch.past(query, at)
        assert answer.rows[0].points[-1][1] == at / 1000.0
    assert len(prometheus.queries) == 2


async def test_what_prometheus_could_not_answer_is_asked_again() -> None:
    prometheus = a_prometheus()
    batch = Batch(prometheus, lambda: ("prod",))
    query = batch.text_of_one(BUSY, PLAIN, 40.0, "prod")
    prometheus.down = True
    assert (await batch.past(query, 100.0)).state is SignalState.ERROR
    prometheus.down = False
    assert (await batch.past(query, 100.0)).state is SignalState.OK


async def test_of_many_answers_those_that_nobody_asked_for_longest_are_forgotten() -> None:
    prometheus = a_prometheus()
    batch = Batch(prometheus, lambda: ("prod",))
    query = batch.text_of_one(BUSY, PLAIN, 40.0, "prod")
    for at in range(REMEMBERED):
        await batch.past(query, float(at))
    await batch.past(query, 0.0)
    await batch.past(query, float(REMEMBERED))
    asked = len(prometheus.queries)
    await batch.past(query, 0.0)
    assert len(prometheus.queries) == asked
    await batch.past(query, 1.0)
    assert len(prometheus.queries) == asked + 1
