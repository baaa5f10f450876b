"""Chores of several models on one worker: in turns, one at a time, each outcome to who asked."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest

from trimtab_engine.chore_turns import ChoreTurns
from trimtab_engine.chores import Answered, Ask, Chore, ChoreFailed, ChoreOutcome
from trimtab_engine.variant_messages import ListLayers
from trimtab_engine.worker_link import WorkerLink


class Asks:
    """A source that always has a question, until told otherwise."""

    urgent = False

    def __init__(self, model: str) -> None:
        self.outcomes: list[ChoreOutcome] = []
        self.quiet = False
        self.urgent = False
        self._model = model

    def next(self, now: float, idle: bool) -> Chore | None:
        return None if self.quiet else Ask(ListLayers(len(self.outcomes), self._model))

    def done(self, chore: Chore, outcome: ChoreOutcome) -> None:
        self.outcomes.append(outcome)


class Wire:
    """The far end of a link: keeps what the worker is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, message: msgspec.Struct) -> None:
        assert isinstance(message, ListLayers)
        self.asked.append(message.model)


@pytest.fixture
def wire() -> Wire:
    return Wire()


ANSWER = ListLayers(0, "any")


def test_models_take_turns_and_one_without_chores_is_passed_over(wire: Wire) -> None:
    sources = {name: Asks(name) for name in ("a", "b", "c")}
    turns, link = ChoreTurns(sources), cast("WorkerLink", wire)
    sources["b"].quiet = True
    for second in range(4):
        assert turns.start(link, float(second), waiting=False)
        assert not turns.start(link, float(second), waiting=False)
        turns.heard(ANSWER, second + 0.5)
    assert wire.asked == ["a", "c", "a", "c"]
    assert [len(source.outcomes) for source in sources.values()] == [2, 0, 2]
    assert sources["a"].outcomes == [Answered(ANSWER, 0.5)] * 2


def test_under_load_all_models_together_have_one_allowance(wire: Wire) -> None:
    sources = {name: Asks(name) for name in ("a", "b", "c")}
    turns, link = ChoreTurns(sources), cast("WorkerLink", wire)
    spent = 0.0
    for tick in range(1000):
        now = tick * 0.1
        if turns.start(link, now, waiting=True):
            turns.heard(ANSWER, now + 0.01)
            spent += 0.01
    assert 0.015 * 100 <= spent <= 0.02 * 100 + 0.01
    assert max(map(wire.asked.count, sources)) - min(map(wire.asked.count, sources)) <= 1


def test_a_death_ends_the_chore_of_the_model_that_had_it(wire: Wire) -> None:
    sources = {name: Asks(name) for name in ("a", "b")}
    turns, link = ChoreTurns(sources), cast("WorkerLink", wire)
    assert not turns.died(link, 0.0)
    turns.start(link, 1.0, waiting=False)
    assert turns.died(link, 3.0)
    assert sources["a"].outcomes == [ChoreFailed("worker_died", 2.0)]
    assert sources["b"].outcomes == []


def test_what_gives_short_memory_back_waits_for_no_quiet_moment_and_no_other_model(wire: Wire) -> None:
    sources = {name: Asks(name) for name in ("a", "b")}
    turns, link = ChoreTurns(sources), cast("WorkerLink", wire)
    assert not turns.start(link, 0.0, waiting=True)
    sources["b"].urgent = True
    assert turns.start(link, 0.0, waiting=True)
    assert wire.asked == ["b"]
