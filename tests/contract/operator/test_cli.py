"""kubectl-trimtab on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from fakes.kube_conformance import policy_body


def trimtab(api_server: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trimtab_cli", *arguments, "--kubeconfig", str(api_server.kubeconfig)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def policy(api_server: Any, namespace: str) -> str:
    body = policy_body(namespace, "chat")
    api_server.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))
    return "chat"


def test_a_stored_policy_is_listed_shown_and_explained(api_server: Any, namespace: str, policy: str) -> None:
    listed = trimtab(api_server, "status", "-n", namespace)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[1].split()[:2] == [namespace, policy]
    assert trimtab(api_server, "status", policy, "-n", namespace).returncode == 0
    explained = trimtab(api_server, "explain", policy, "-n", namespace)
    assert explained.returncode == 0, explained.stderr
    assert f"{namespace}/{policy}" in explained.stdout
    assert "No trials found" in trimtab(api_server, "trials", "-n", namespace).stdout


def test_a_policy_that_does_not_exist_is_said_as_the_server_says_it(api_server: Any, namespace: str) -> None:
    asked = trimtab(api_server, "explain", "nobody", "-n", namespace)
    assert asked.returncode == 1
    assert asked.stderr == 'Error: optimizationpolicies.trimtab.dev "nobody" not found\n'


def test_no_cluster_is_said_in_one_line(tmp_path: Any) -> None:
    command = [sys.executable, "-m", "trimtab_cli", "status", "--kubeconfig", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: no usable kubeconfig")
