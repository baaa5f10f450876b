"""Every failure is one line that says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException

from trimtab_cli.api_server import not_found, sentence


def refused(status: int, body: str) -> ApiException:
    error = ApiException(status=status, reason="Reason")
    error.body = body
    return error


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "404 page not found\n", "not installed in this cluster"),
        (403, json.dumps({"message": 'User "eve" cannot list'}), 'User "eve" cannot list; ask for the ClusterRole'),
        (401, json.dumps({"message": "Unauthorized"}), "Unauthorized; log in again"),
        (500, "", "the API server answered 500 Reason"),
        (503, "[]", "the API server answered 503 Reason"),
    ],
)
def test_a_refusal_becomes_a_line_with_what_to_do(status: int, body: str, words: str) -> None:
    said = sentence(refused(status, body))
    assert words in said
    assert "\n" not in said


def test_a_name_that_does_not_exist_is_answered_with_those_that_do() -> None:
    assert not_found("OptimizationPolicy", "prod", "chta", ["embed", "chat"]) == (
        'no OptimizationPolicy "chta" in namespace "prod"; there are: chat, embed'
    )
    assert not_found("OptimizationTrial", "prod", "x", [f"p{number:02}" for number in range(12)]).endswith(
        "p09 and 2 more"
    )
    assert not_found("OptimizationTrial", "prod", "x", []).startswith('no OptimizationTrial "x" in namespace "prod"; ')
    assert "there are none; -A with `status` or `trials`" in not_found("OptimizationTrial", "prod", "x", [])


def run(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trimtab_cli", "status", "--kubeconfig", str(kubeconfig), *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """A kubeconfig whose server listens nowhere."""
    path = tmp_path / "config"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "contexts: [{name: c, context: {cluster: s, user: u}}]\n"
        'clusters: [{name: s, cluster: {server: "https://127.0.0.1:1"}}]\n'
        "users: [{name: u, user: {token: none}}]\n"
    )
    return path


def test_a_server_that_does_not_answer_is_said_in_one_line(kubeconfig: Path) -> None:
    done = run(kubeconfig)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the API server does not answer: ")
    assert "kubectl cluster-info" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("text", ["{", "", "no mapping", "kind: Config\n"])
def test_a_kubeconfig_that_cannot_be_used_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    done = run(path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("Error: no usable kubeconfig: ")


def test_a_context_that_does_not_exist_is_named(kubeconfig: Path) -> None:
    done = run(kubeconfig, "--context", "staging")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "staging" in done.stderr
