"""kubectl-trimtab as a process on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from fakes.kube_conformance import policy_body, trial_body

from trimtab_api.policy_status import PolicyStatus

AT = "2026-01-02T03:04:05Z"
QUERY = 'sum by (pod) (rate(trimtab_engine_worker_busy_seconds_total{pod=~"a-.*"}[20s]))'
STATUS = {
    "observedGeneration": 1,
    "phase": "Validation",
    "phaseSince": AT,
    "objectivesSummary": "0/1",
    "bottleneckSummary": "Compute",
    "replicasSummary": "2→4",
    "trustedSummary": "True",
    "replicas": {"current": 2, "desired": 4, "uncapped": 6, "reason": "Utilization: busy is 0.95", "at": AT},
    "bottleneck": {
        "kind": "Compute",
        "confidence": "0.9",
        "since": AT,
        "evidence": [{"signal": "busy", "query": QUERY, "value": "0.95", "unit": "ratio", "at": AT, "samples": 40}],
    },
    "constraints": [{"name": "MaxReplicas", "reason": "spec.scaling.maxReplicas is 4: raise it"}],
    "objectives": [{"name": "latency", "value": "310ms", "limit": "200ms", "met": "Violated", "samples": 512}],
    "scorecard": [{"measure": "GpuUtilization", "reference": "> 85%", "state": "NotMeasured", "reason": "no GPU"}],
    "conditions": [
        {
            "type": "ObjectivesMet",
            "status": "False",
            "reason": "Violated",
            "message": "violated: latency",
            "lastTransitionTime": AT,
        }
    ],
    "history": [{"id": "s-1", "at": AT, "what": "Scaled", "from": "1", "to": "2", "why": "Utilization: load"}],
}


def trimtab(api_server: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trimtab_cli", *arguments, "--kubeconfig", str(api_server.kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def answer(api_server: Any, *arguments: str) -> str:
    done = trimtab(api_server, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture(scope="module")
def policy(api_server: Any, namespace: str) -> str:
    api_server.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(policy_body(namespace, "chat")))
    body = json.dumps({"status": PolicyStatus.model_validate(STATUS).to_body()})
    api_server.kubectl(
        "patch", "optpol", "chat", "-n", namespace, "--subresource=status", "--type=merge", "-p", body
    )  # fmt: skip
    return "chat"


def test_status_shows_what_kubectl_get_shows_and_what_needs_a_look(
    api_server: Any, namespace: str, policy: str
) -> None:
    ours = answer(api_server, "status", "-n", namespace).splitlines()
    theirs = api_server.kubectl("get", "optpol", "-n", namespace).splitlines()
    assert ours[0].split()[1:] == theirs[0].split()
    # Ages apart: they go on between the two calls.
    assert ours[1].split()[:-1] == [namespace, *theirs[1].split()[:-1]]
    assert f"{namespace}/{policy}: ObjectivesMet is False, Violated: violated: latency" in ours


def test_explain_gives_the_whole_reason_from_status(api_server: Any, namespace: str, policy: str) -> None:
    page = answer(api_server, "explain", policy, "-n", namespace)
    for text in (
        f"{namespace}/{policy}: mode Recommend, phase Validation",
        "Reason: Utilization: busy is 0.95",
        "confidence 0.9",
        f"query of busy: {QUERY}",
        "MaxReplicas: spec.scaling.maxReplicas is 4: raise it",
        "310ms",
        "GpuUtilization",
        "no GPU",
        "1 → 2",
    ):
        assert text in page


def test_the_json_forms_hold_the_stored_status(api_server: Any, namespace: str, policy: str) -> None:
    stored = json.loads(api_server.kubectl("get", "optpol", policy, "-n", namespace, "-o", "json"))
    listed = json.loads(answer(api_server, "status", "-n", namespace, "-o", "json"))
    explained = json.loads(answer(api_server, "explain", policy, "-n", namespace, "-o", "json"))
    assert [item["status"] for item in listed["items"]] == [explained["status"]]
    assert explained["status"] == PolicyStatus.model_validate(stored["status"]).to_body()
    assert [row["type"] for row in explained["concerns"]] == ["ObjectivesMet"]


def test_a_namespace_without_trials_says_so_in_one_sentence(api_server: Any, namespace: str) -> None:
    assert answer(api_server, "trials", "-n", namespace) == (
        f"No trials found in namespace {namespace}; -A looks everywhere.\n"
    )


def test_a_name_that_does_not_exist_is_answered_with_those_that_do(
    api_server: Any, namespace: str, policy: str
) -> None:
    asked = trimtab(api_server, "explain", "nobody", "-n", namespace)
    assert asked.returncode == 1
    assert asked.stderr == f'Error: no OptimizationPolicy "nobody" in namespace "{namespace}"; there are: {policy}\n'


@pytest.fixture
def trial(api_server: Any, namespace: str, policy: str) -> str:
    body = trial_body(namespace, "chat-7")
    body["spec"]["policy"] = policy
    api_server.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))
    return "chat-7"


def test_a_word_on_a_trial_is_written_once_under_the_plugins_name_and_never_changed(
    api_server: Any, namespace: str, trial: str
) -> None:
    assert answer(api_server, "approve", trial, "-n", namespace).endswith(": Approved\n")
    shown = json.loads(
        api_server.kubectl("get", "opttrial", trial, "-n", namespace, "-o", "json", "--show-managed-fields")
    )
    assert shown["spec"]["approval"] == "Approved"
    owners = [
        entry["manager"] for entry in shown["metadata"]["managedFields"] if "f:approval" in entry["fieldsV1"]["f:spec"]
    ]
    assert owners == ["kubectl-trimtab"]
    denied = trimtab(api_server, "approve", trial, "--deny", "-n", namespace)
    assert (denied.returncode, denied.stdout) == (1, "")
    assert "already Approved" in denied.stderr


def test_a_policy_is_told_to_go_back_and_on(api_server: Any, namespace: str, policy: str, trial: str) -> None:
    done = {"status": {"phase": "Finished", "verdict": "Improved"}}
    api_server.kubectl(
        "patch", "opttrial", trial, "-n", namespace, "--subresource=status", "--type=merge", "-p", json.dumps(done)
    )

    def wanted() -> str:
        return str(api_server.kubectl("get", "optpol", policy, "-n", namespace, "-o", "jsonpath={.spec.rollbackTo}"))

    answer(api_server, "rollback", policy, "--to", trial, "-n", namespace)
    assert wanted() == trial
    answer(api_server, "rollback", policy, "--resume", "-n", namespace)
    assert wanted() == ""


def test_a_trial_that_does_not_exist_is_answered_with_those_that_do(
    api_server: Any, namespace: str, trial: str
) -> None:
    asked = trimtab(api_server, "approve", "chat-99", "-n", namespace)
    assert asked.returncode == 1
    assert asked.stderr == f'Error: no OptimizationTrial "chat-99" in namespace "{namespace}"; there are: {trial}\n'
