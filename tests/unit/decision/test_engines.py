"""What the engines of a target say together."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.builders import CANARY, STABLE, a_pod, an_engine
from fakes.stands import a_tuned_snapshot, attached_pods, attached_target, engines

from trimtab_operator.decision.engines import attachable_pods, common_settings, unattached
from trimtab_operator.model.engine import EngineState
from trimtab_operator.model.snapshot import Target


def test_only_serving_pods_with_a_token_can_be_asked() -> None:
    pods = (*attached_pods(1), a_pod("chat-1"), a_pod("chat-2", attachable=True, ready=False))
    assert [pod.name for pod in attachable_pods(attached_target(pods=pods))] == ["chat-0"]


@pytest.mark.parametrize(
    ("known", "away", "common"),
    [
        pytest.param(engines(None, None), [], STABLE, id="alike"),
        pytest.param(engines(STABLE, None), [], STABLE, id="alike-by-other-documents"),
        pytest.param(engines(CANARY, None), [], None, id="unlike"),
        pytest.param(engines(None), ["chat-1"], None, id="one-not-known"),
        pytest.param(engines(None, EngineState()), ["chat-1"], None, id="one-without-report"),
        pytest.param(engines(None, an_engine(pod="chat-1", applied=None)), ["chat-1"], None, id="one-says-nothing"),
        pytest.param(engines(None, an_engine(pod="chat-1", attached=False)), ["chat-1"], STABLE, id="one-lost"),
        pytest.param(
            engines(an_engine(applied=None), an_engine(pod="chat-1", applied=None)),
            ["chat-0", "chat-1"],
            None,
            id="mute",
        ),
    ],
)
def test_engines_are_attached_and_alike_or_not(known: dict[str, EngineState], away: list[str], common: Any) -> None:
    snapshot = a_tuned_snapshot(engines=known)
    assert isinstance(snapshot.target, Target)
    assert [pod.name for pod in unattached(snapshot, snapshot.target)] == away
    assert common_settings(snapshot, snapshot.target) == common


def test_without_pods_there_is_nothing_in_common() -> None:
    target = attached_target(pods=())
    assert common_settings(a_tuned_snapshot(target=target), target) is None
