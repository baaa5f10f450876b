"""kubectl-trimtab: what is printed, and what is said when something is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fakes.builders import a_trial
from typer.testing import CliRunner

from trimtab_api import OptimizationPolicy, OptimizationTrial
from trimtab_api.trial import TrialApproval
from trimtab_cli import __main__ as program
from trimtab_cli.cluster import ClusterError
from trimtab_cli.tables import age

NOW = datetime.now(UTC)
AT = (NOW - timedelta(days=5)).isoformat()  # in days: a long run of tests changes no text


def policy(name: str = "chat", **status: Any) -> OptimizationPolicy:
    return OptimizationPolicy.model_validate(
        {
            "metadata": {"namespace": "prod", "name": name, "creationTimestamp": AT},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "llama"}, "mode": "Apply"},
            "status": status,
        }
    )


EVIDENCE = {
    "signal": "busy_ratio",
    "query": "rate(busy[20s])",
    "value": "0.95",
    "unit": "ratio",
    "at": AT,
    "samples": 9,
}
WORKING = policy(
    phase="Validation",
    phaseSince=AT,
    objectivesSummary="1/2",
    bottleneckSummary="Compute",
    replicasSummary="2→3",
    trustedSummary="True",
    replicas={"current": 2, "desired": 3, "uncapped": 5, "reason": "Utilization: busy is 0.95", "at": AT},
    intent={"id": "i", "kind": "Scale", "from": "2", "to": "3", "reason": "busy", "at": AT, "evidence": [EVIDENCE]},
    bottleneck={"kind": "Compute", "confidence": "0.9", "evidence": [EVIDENCE], "since": AT},
    constraints=[{"name": "MaxReplicasReached", "reason": "maxReplicas is 3"}],
    objectives=[{"name": "latency", "limit": "0.1", "met": "Violated", "value": "0.2", "samples": 500}],
    scorecard=[{"measure": "Errors", "reference": "0.01", "state": "Met", "value": "0"}],
    conditions=[
        {"type": "Ready", "status": "True", "reason": "Optimizing", "lastTransitionTime": AT},
        {"type": "Conflict", "status": "False", "reason": "None", "lastTransitionTime": AT},
        {
            "type": "MetricsTrusted",
            "status": "False",
            "reason": "Stale",
            "message": "90 s old",
            "lastTransitionTime": AT,
        },
    ],
    history=[{"id": "a", "at": AT, "what": "Scaled", "from": "1", "to": "2", "why": "Utilization: load"}],
)


@dataclass
class FakeCluster:
    namespace: str = "prod"
    found: list[OptimizationPolicy] = field(default_factory=lambda: [WORKING, policy("new")])
    tried: list[OptimizationTrial] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)

    def policies(self, namespace: str | None) -> list[OptimizationPolicy]:
        self.asked.append(namespace)
        return self.found

    def policy(self, namespace: str, name: str) -> OptimizationPolicy:
        self.asked.append(namespace)
        for each in self.found:
            if each.metadata.name == name:
                return each
        raise ClusterError(f'optimizationpolicies.trimtab.dev "{name}" not found')

    def trials(self, namespace: str | None) -> list[OptimizationTrial]:
        self.asked.append(namespace)
        return self.tried

    def trial(self, namespace: str, name: str) -> OptimizationTrial:
        raise ClusterError(f'optimizationtrials.trimtab.dev "{name}" not found')

    def say(self, namespace: str, trial: str, word: TrialApproval) -> None:
        raise AssertionError("nothing is written here")

    def roll_back(self, namespace: str, policy: str, to: str | None) -> None:
        raise AssertionError("nothing is written here")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster()
    monkeypatch.setattr(program, "connect", lambda *_: made)
    return made


@pytest.fixture
def run(cluster: FakeCluster) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        result = CliRunner().invoke(program.app, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_status_lists_policies_with_the_columns_of_kubectl_get(run: Callable[..., str], cluster: FakeCluster) -> None:
    lines = run("status").splitlines()
    assert lines[0].split() == [
        "NAMESPACE", "NAME", "PHASE", "MODE", "OBJECTIVES", "BOTTLENECK", "REPLICAS", "SAVING", "TRUSTED", "AGE",
    ]  # fmt: skip
    assert lines[1].split() == [
        "prod", "chat", "Validation", "Apply", "1/2", "Compute", "2→3", "Unknown", "True", "5d",
    ]  # fmt: skip
    assert lines[2].split()[1:3] == ["new", "Unknown"]
    assert cluster.asked == ["prod"]


def test_the_namespace_can_be_chosen(run: Callable[..., str], cluster: FakeCluster) -> None:
    run("status", "-n", "test")
    run("status", "-A")
    run("trials", "--namespace", "test")
    assert cluster.asked == ["test", None, "test"]


def test_one_policy_shows_conditions_objectives_and_scorecard(run: Callable[..., str]) -> None:
    page = run("status", "chat")
    for text in ("MetricsTrusted", "90 s old", "latency", "Violated", "Errors", "0.01"):
        assert text in page


def test_an_explanation_gives_decision_evidence_obstacles_and_history(run: Callable[..., str]) -> None:
    page = run("explain", "chat")
    for text in (
        "Reason: Utilization: busy is 0.95",
        "About to Scale from 2 to 3",
        "latency",
        "Errors",
        "Compute for 5d, confidence 0.9",
        "rate(busy[20s])",
        "MaxReplicasReached: maxReplicas is 3",
        "MetricsTrusted is False, Stale: 90 s old",
        "Scaled",
    ):
        assert text in page
    assert "Conflict is" not in page


def test_a_policy_that_has_not_been_worked_on_is_explained_without_guessing(run: Callable[..., str]) -> None:
    page = run("explain", "new")
    assert "has not reported on it yet" in page
    for part in ("Replicas", "Bottleneck", "Why not more", "Objectives", "Scorecard"):
        assert f"\n{part}\nUnknown\n" in page
    assert "every condition is as it should be" not in page


def test_empty_lists_say_so(run: Callable[..., str], cluster: FakeCluster) -> None:
    cluster.found = []
    assert run("status") == "No policies found in namespace prod; -A looks everywhere.\n"
    assert run("trials", "-A") == "No trials found in any namespace.\n"


def test_what_the_api_server_refuses_is_said_in_its_words(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl-trimtab", "explain", "nobody"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 1
    assert 'Error: optimizationpolicies.trimtab.dev "nobody" not found' in capsys.readouterr().err
    assert cluster.asked == ["prod"]


def test_status_as_json_is_a_list_of_policies_in_the_spelling_of_the_api(run: Callable[..., str]) -> None:
    body = json.loads(run("status", "-o", "json"))
    assert (body["kind"], len(body["items"])) == ("List", 2)
    assert body["items"][0]["status"]["replicasSummary"] == "2→3"
    assert json.loads(run("status", "chat", "-o", "json"))["metadata"]["name"] == "chat"


def test_an_explanation_as_json_names_the_conditions_that_are_amiss(run: Callable[..., str]) -> None:
    body = json.loads(run("explain", "chat", "-o", "json"))
    assert [row["type"] for row in body["concerns"]] == ["MetricsTrusted"]
    assert body["status"]["bottleneck"]["evidence"][0]["query"] == "rate(busy[20s])"


@pytest.mark.parametrize(("current", "told"), [(None, None), ("chat-2", "chat-2"), ("chat-9", None)])
def test_an_explanation_has_the_trial_under_way_and_none_that_is_over_or_gone(
    run: Callable[..., str], cluster: FakeCluster, current: str | None, told: str | None
) -> None:
    cluster.found = [policy(currentTrial=current)]
    cluster.tried = [a_trial("chat-1"), a_trial("chat-2", status={"phase": "Shadow"})]
    trial = json.loads(run("explain", "chat", "-o", "json"))["trial"]
    assert (None if trial is None else trial["metadata"]["name"]) == told
    assert ("chat-2: maxBatchSize 1→8 by PairedCanary, phase Shadow" in run("explain", "chat")) == (told is not None)


def test_an_empty_list_as_json_is_still_json(run: Callable[..., str], cluster: FakeCluster) -> None:
    cluster.found = []
    assert json.loads(run("status", "-o", "json"))["items"] == []


def test_a_name_in_every_namespace_is_refused_with_what_to_give_instead(cluster: FakeCluster) -> None:
    result = CliRunner().invoke(program.app, ["status", "chat", "-A"])
    assert result.exit_code == 2
    assert "-n NAMESPACE" in result.output
    assert cluster.asked == []


def test_neither_the_client_nor_numpy_is_imported_before_it_is_needed() -> None:
    code = "import sys, trimtab_cli.__main__; print({'kubernetes', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (119, "119s"), (180, "3m"), (7200, "2h"), (500_000, "5d"), (-5, "0s")]
)
def test_ages_are_written_as_kubectl_does(seconds: float, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text
