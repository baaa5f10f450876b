"""Chores of several models on one worker: in turns, one at a time, each outcome to who asked."""

from __future__ import annotations

import math
from typing import cast

import msgspec
import pytest

from trimtab_engine.batching.batch import Batch
from trimtab_engine.chore_turns import ChoreTurns
from trimtab_engine.chores import QUIET_SECONDS, Answered, Ask, Chore, ChoreFailed, ChoreOutcome
from trimtab_engine.variant_messages import ListLayers
from trimtab_engine.wire import BatchFailed
from trimtab_engine.worker_link import WorkerLink


class Asks:
    """A source that always has a question, until told otherwise."""

    def __init__(self, model: str) -> None:
        self.outcomes: list[ChoreOutcome] = []
        self.quiet = False
        self.urgent = False
        self._model = model

    def next(self, now: float) -> Chore | None:
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


class Models:
    """Models a, b and c that take turns on one worker."""

    def __init__(self) -> None:
        self.sources = {name: Asks(name) for name in ("a", "b", "c")}
        self.turns = ChoreTurns(self.sources)
        self.wire = Wire()
        self.link = cast("WorkerLink", self.wire)

    def start(self, now: float, waiting: bool = False) -> bool:
        return self.turns.start(self.link, now, waiting)


@pytest.fixture
def models() -> Models:
    return Models()


ANSWER = ListLayers(0, "any")


def test_models_take_turns_and_one_without_chores_is_passed_over(models: Models) -> None:
    models.sources["b"].quiet = True
    for second in range(4):
        assert models.start(float(second))
        assert not models.start(float(second))
        models.turns.heard(ANSWER, second + 0.5)
    assert models.wire.asked == ["a", "c", "a", "c"]
    assert [len(source.outcomes) for source in models.sources.values()] == [2, 0, 2]
    assert models.sources["a"].outcomes == [Answered(ANSWER, 0.5)] * 2


def test_under_load_all_models_together_have_one_allowance(models: Models) -> None:
    spent = 0.0
    for tick in range(1000):
        now = tick * 0.1
        if models.start(now, waiting=True):
            models.turns.heard(ANSWER, now + 0.01)
            spent += 0.01
    assert 0.015 * 100 <= spent <= 0.02 * 100 + 0.01
    asked = [models.wire.asked.count(name) for name in models.sources]
    assert max(asked) - min(asked) <= 1


def test_after_a_batch_of_requests_no_model_has_a_chore_before_a_quiet_moment(models: Models) -> None:
    assert models.turns.quiet_at(0.0) == math.inf
    assert not models.turns.took(models.link, Batch([]), BatchFailed(1, 0.01, "model_error", ""), 0.0)
    assert not models.start(0.01)
    assert models.turns.quiet_at(0.01) == QUIET_SECONDS
    assert models.start(QUIET_SECONDS)
    assert models.turns.quiet_at(QUIET_SECONDS) == math.inf


def test_a_death_ends_the_chore_of_the_model_that_had_it(models: Models) -> None:
    assert not models.turns.died(models.link, 0.0)
    models.start(1.0)
    assert models.turns.died(models.link, 3.0)
    assert models.sources["a"].outcomes == [ChoreFailed("worker_died", 2.0)]
    assert models.sources["b"].outcomes == models.sources["c"].outcomes == []


def test_what_gives_short_memory_back_waits_for_no_quiet_moment_and_no_other_model(models: Models) -> None:
    assert not models.start(0.0, waiting=True)
    models.sources["b"].urgent = True
    assert models.start(0.0, waiting=True)
    assert models.wire.asked == ["b"]
