"""approve and rollback: one field each, and a sentence where a word would do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.builders import a_policy, a_trial
from typer.testing import CliRunner, Result

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_api.trial import TrialApproval
from trimtab_cli import __main__ as program
from trimtab_cli.cluster import ClusterError


class WrittenCluster:
    """A namespace with one policy and one trial; remembers what was written."""

    namespace = "prod"

    def __init__(self) -> None:
        self.held: str | None = None
        self.trial_fields: dict[str, Any] = {}
        self.written: list[tuple[str, str, str | None]] = []

    def policies(self, namespace: str | None) -> list[OptimizationPolicy]:
        return [self.policy(namespace or "prod", "chat")]

    def policy(self, namespace: str, name: str) -> OptimizationPolicy:
        return a_policy(rollbackTo=self.held)

    def trials(self, namespace: str | None) -> list[OptimizationTrial]:
        return [self.trial(namespace or "prod", "chat-1")]

    def trial(self, namespace: str, name: str) -> OptimizationTrial:
        return a_trial(name, **self.trial_fields)

    def say(self, namespace: str, trial: str, word: TrialApproval) -> None:
        self.written.append((namespace, trial, word.value))

    def roll_back(self, namespace: str, policy: str, to: str | None) -> None:
        self.written.append((namespace, policy, to))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> WrittenCluster:
    made = WrittenCluster()
    monkeypatch.setattr(program, "connect", lambda *_: made)
    return made


@pytest.fixture
def run(cluster: WrittenCluster) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(program.app, list(arguments))


FINISHED = {"status": {"phase": "Finished", "verdict": "Improved"}}


@pytest.mark.parametrize(("options", "word"), [((), "Approved"), (("--deny",), "Denied")])
def test_a_trial_that_waits_is_told_a_persons_word(
    run: Callable[..., Result], cluster: WrittenCluster, options: tuple[str, ...], word: str
) -> None:
    cluster.trial_fields = {"status": {"phase": "AwaitingApproval"}}
    assert run("approve", "chat-1", *options, "-n", "test").output == f"trial chat-1 (maxBatchSize 1→8): {word}\n"
    assert cluster.written == [("test", "chat-1", word)]


def test_saying_the_same_word_twice_writes_once(run: Callable[..., Result], cluster: WrittenCluster) -> None:
    cluster.trial_fields = {"approval": "Approved", "status": {"phase": "Measuring"}}
    assert run("approve", "chat-1").exit_code == 0
    assert cluster.written == []


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        ({"status": {"phase": "Measuring"}}, "trial chat-1 is Measuring: it waits for no approval"),
        ({"approval": "Denied", "status": {"phase": "Finished"}}, "trial chat-1 is already Denied, once for all"),
    ],
    ids=["runs", "denied"],
)
def test_a_trial_that_waits_for_nobody_takes_no_word(
    run: Callable[..., Result], cluster: WrittenCluster, trial: dict[str, Any], says: str
) -> None:
    cluster.trial_fields = trial
    ended = run("approve", "chat-1")
    assert isinstance(ended.exception, ClusterError)
    assert says in str(ended.exception)
    assert cluster.written == []


def test_a_policy_goes_back_to_the_settings_after_a_finished_trial_and_on_again(
    run: Callable[..., Result], cluster: WrittenCluster
) -> None:
    cluster.trial_fields = FINISHED
    back = run("rollback", "chat", "--to", "chat-1")
    assert back.output == "policy chat: goes back to the settings after trial chat-1\n"
    cluster.held = "chat-1"
    assert run("rollback", "chat", "--to", "chat-1").exit_code == 0
    assert run("rollback", "chat", "--resume").output == "policy chat: goes on trying\n"
    assert cluster.written == [("prod", "chat", "chat-1"), ("prod", "chat", None)]


@pytest.mark.parametrize(
    ("trial", "says"),
    [
        ({"status": {"phase": "Measuring"}}, "only the settings after a finished trial can be restored"),
        ({"policy": "other", **FINISHED}, "trial chat-1 is one of policy other, not of chat"),
    ],
    ids=["runs", "another policy's"],
)
def test_a_trial_that_is_no_way_back_is_refused_before_anything_is_written(
    run: Callable[..., Result], cluster: WrittenCluster, trial: dict[str, Any], says: str
) -> None:
    cluster.trial_fields = trial
    ended = run("rollback", "chat", "--to", "chat-1")
    assert isinstance(ended.exception, ClusterError)
    assert says in str(ended.exception)
    assert cluster.written == []


@pytest.mark.parametrize("options", [(), ("--to", "chat-1", "--resume")], ids=["neither", "both"])
def test_a_rollback_says_where_to_or_that_it_is_over(run: Callable[..., Result], options: tuple[str, ...]) -> None:
    ended = run("rollback", "chat", *options)
    assert ended.exit_code == 2
    assert "either --to TRIAL" in ended.output
