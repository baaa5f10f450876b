"""What every policy asks of every node."""

from __future__ import annotations

import pytest

from trimtab_api.engine_settings import EngineSettings
from trimtab_api.node_tuning import EngineEntry
from trimtab_operator.actuation.board import PolicyKey, TuningBoard
from trimtab_operator.trial.node_spec import Ask

CHAT, SEARCH = ("prod", "chat"), ("test", "search")


def ask(node: str, pod: str, batch: int | None = None) -> Ask:
    settings = EngineSettings(max_batch_size=batch)
    return Ask(node, EngineEntry(pod_uid=f"uid-{pod}", namespace="prod", pod=pod, settings=settings))


class Watched:
    """A board of two policies, and the nodes that it said may have changed."""

    def __init__(self) -> None:
        self.policies: list[PolicyKey] | None = [CHAT, SEARCH]
        self.changed: list[str] = []
        self.board = TuningBoard(self.changed.append, lambda: self.policies)

    def put(self, key: PolicyKey, *asks: Ask, tunes: bool = True) -> list[str]:
        self.changed.clear()
        self.board.put(key, asks, tunes=tunes)
        return list(self.changed)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_the_nodes_that_are_asked_for_something_else_are_looked_at(watched: Watched) -> None:
    assert watched.put(CHAT, ask("b", "chat-0"), ask("a", "chat-1")) == ["a", "b"]
    assert watched.put(CHAT, ask("b", "chat-0"), ask("a", "chat-1")) == []
    assert watched.put(CHAT, ask("b", "chat-0", 8), ask("a", "chat-1")) == ["a", "b"]
    assert watched.put(CHAT, ask("c", "chat-0")) == ["a", "b", "c"], "and those that are asked for nothing any more"


def test_a_policy_that_is_gone_asks_for_nothing_and_its_nodes_are_looked_at(watched: Watched) -> None:
    watched.put(CHAT, ask("a", "chat-0"))
    watched.changed.clear()
    watched.board.forget(CHAT)
    assert (watched.changed, watched.board.asked("a"), watched.board.namespaces()) == (["a"], (), ())
    watched.board.forget(CHAT)
    assert watched.changed == ["a"]


def test_a_node_is_asked_for_what_all_policies_ask_of_it(watched: Watched) -> None:
    watched.put(CHAT, ask("a", "chat-0"), ask("b", "chat-1"))
    watched.put(SEARCH, ask("a", "search-0"))
    assert [entry.pod for entry in watched.board.asked("a")] == ["chat-0", "search-0"]
    assert [entry.pod for entry in watched.board.asked("b")] == ["chat-1"]
    assert watched.board.asked("c") == ()


@pytest.mark.parametrize(
    ("policies", "complete"),
    [
        pytest.param([CHAT], True, id="all"),
        pytest.param([], True, id="none is left"),
        pytest.param([CHAT, SEARCH], False, id="one was not heard yet"),
        pytest.param(None, False, id="not listed yet"),
    ],
)
def test_silence_means_something_only_when_every_policy_has_been_heard(
    watched: Watched, policies: list[PolicyKey] | None, complete: bool
) -> None:
    watched.put(CHAT)
    watched.policies = policies
    assert watched.board.complete is complete


def test_a_policy_that_asks_for_nothing_new_is_heard_and_keeps_what_it_asked_for(watched: Watched) -> None:
    watched.put(CHAT, ask("a", "chat-0"))
    watched.changed.clear()
    watched.board.hear(CHAT)
    watched.board.hear(SEARCH)
    assert watched.board.complete
    assert [entry.pod for entry in watched.board.asked("a")] == ["chat-0"]
    assert watched.changed == []


def test_the_namespaces_that_need_a_certificate_are_those_that_tune_engines(watched: Watched) -> None:
    watched.put(SEARCH, tunes=True)
    watched.put(CHAT, tunes=True)
    assert watched.board.namespaces() == ("prod", "test")
    watched.put(CHAT, tunes=False)
    assert watched.board.namespaces() == ("test",)
