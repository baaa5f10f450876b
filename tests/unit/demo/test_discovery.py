"""Which pods Prometheus is told to scrape, and under which labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dev.demo.discovery import target_files, write

ASKS = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
AGENT = {"app.kubernetes.io/name": "trimtab", "app.kubernetes.io/component": "agent"}


def a_pod(
    name: str = "a",
    annotations: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    **status: str,
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "prod", "annotations": annotations or ASKS, "labels": labels or {}},
        "spec": {"nodeName": "node"},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


def test_an_annotated_pod_is_scraped_at_its_port_under_its_own_name() -> None:
    assert target_files([a_pod()])["pods.json"] == [
        {"targets": ["10.0.0.1:8080"], "labels": {"namespace": "prod", "pod": "a", "node": "node"}}
    ]


def test_the_agent_stands_in_a_file_of_its_own() -> None:
    files = target_files([a_pod("b"), a_pod("agent", labels=AGENT)])
    assert [group["labels"]["pod"] for group in files["pods.json"]] == ["b"]
    assert [group["labels"]["pod"] for group in files["agent.json"]] == ["agent"]


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(a_pod(annotations={"prometheus.io/port": "8080"}), id="does not ask"),
        pytest.param(a_pod(annotations={"prometheus.io/scrape": "true"}), id="without a port"),
        pytest.param(a_pod(podIP=""), id="without an address yet"),
        pytest.param(a_pod(phase="Succeeded"), id="ended"),
    ],
)
def test_other_pods_are_left_alone(pod: dict[str, Any]) -> None:
    assert target_files([pod]) == {"pods.json": [], "agent.json": []}


def test_files_are_replaced_only_when_they_change(tmp_path: Path) -> None:
    write(tmp_path, target_files([a_pod()]))
    first = (tmp_path / "pods.json").stat().st_ino
    write(tmp_path, target_files([a_pod()]))
    assert (tmp_path / "pods.json").stat().st_ino == first
    write(tmp_path, target_files([]))
    assert json.loads((tmp_path / "pods.json").read_text()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.json", "pods.json"]
