"""The agent on a real node: real cgroups, real kubelet, a device plugin over the kubelet's own protocol.

SIMULATED: the GPUs are the fake NVML library's; everything between them and /metrics is real.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.nvml.build import build
from fakes.nvml.readings import SimulatedGpu, write_readings
from harness.cluster import Cluster, eventually
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
GPUS = ("GPU-e2e00000-0000-0000-0000-000000000001", "GPU-e2e00000-0000-0000-0000-000000000002")
RESOURCE = "nvidia.com/simulated-gpu"
LABELS_OF_POD = ("namespace", "pod", "container")


@dataclass(frozen=True)
class AgentOnNode:
    """An agent process on this host, and the readings file of the GPUs that it sees."""

    port: int
    readings: Path

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)
        return [(each.labels, each.value) for family in families for each in family.samples if each.name == name]

    def of_pod(self, name: str, pod: str) -> float | None:
        return next((value for labels, value in self.samples(name) if labels["pod"] == pod), None)


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated-gpus") / "readings"
    write_readings(path, [SimulatedGpu(uuid, utilization_ratio=0.4) for uuid in GPUS])
    return path


@pytest.fixture(scope="module")
def agent(cluster: Cluster, readings: Path) -> Iterator[AgentOnNode]:
    environment = {
        "PYTHONPATH": str(ROOT / "agent"),
        "NODE_NAME": "trimtab-node",
        "TRIMTAB_PORT": "19101",
        "TRIMTAB_CGROUP_ROOT": "/sys/fs/cgroup",
        "TRIMTAB_PROC_ROOT": "/proc",
        "TRIMTAB_POD_LOGS_DIR": str(cluster.state / "pod-logs"),
        "TRIMTAB_POD_RESOURCES_SOCKET": str(cluster.state / "kubelet/pod-resources/kubelet.sock"),
        "TRIMTAB_INTERVAL_SECONDS": "1",
        "TRIMTAB_FAKE_NVML_READINGS": str(readings),
        "LD_LIBRARY_PATH": str(build()),
    }
    command = [sys.executable, "-m", "trimtab_agent"]
    with running(command, environment, readings.parent / "agent.log"):
        found = AgentOnNode(19101, readings)
        eventually(lambda: answers(found), "the agent answers", 30)
        yield found


@pytest.fixture(scope="module")
def device_plugin(cluster: Cluster, readings: Path) -> Iterator[None]:
    command = [
        sys.executable, "-m", "fakes.device_plugin", "--kubelet-dir", str(cluster.state / "kubelet"),
        "--readings", str(readings), "--resource", RESOURCE,
    ]  # fmt: skip
    with running(command, {"PYTHONPATH": str(ROOT / "tests")}, readings.parent / "plugin.log"):
        yield


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    name = "agent-e2e"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=true", "--timeout=80s")


def answers(agent: AgentOnNode) -> bool:
    try:
        return bool(agent.samples("trimtab_agent_gpu_driver"))
    except OSError:
        return False


def start_pod(
    cluster: Cluster, namespace: str, name: str, script: str, host_network: bool = False, **container: object
) -> None:
    image = cluster.images["control"]
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "hostNetwork": host_network,
                "containers": [{"name": "server", "image": image, "command": ["sh", "-c", script], **container}],
            },
        }
    )
    cluster.kubectl("-n", namespace, "wait", f"pod/{name}", "--for=condition=Ready", "--timeout=80s")


def until(question: Callable[[], bool], what: str) -> None:
    eventually(question, what, 30)


def test_a_pod_with_a_cpu_limit_is_seen_working_and_throttled(
    cluster: Cluster, agent: AgentOnNode, namespace: str
) -> None:
    limits = {"limits": {"cpu": "100m", "memory": "64Mi"}}
    start_pod(cluster, namespace, "busy", "while :; do :; done", resources=limits)
    until(lambda: (agent.of_pod("trimtab_agent_container_cpu_seconds_total", "busy") or 0) > 0.2, "CPU time of busy")
    until(
        lambda: (agent.of_pod("trimtab_agent_container_cpu_throttled_periods_total", "busy") or 0) > 5,
        "throttled periods of busy",
    )
    assert agent.of_pod("trimtab_agent_container_cpu_limit_cores", "busy") == pytest.approx(0.1)
    assert agent.of_pod("trimtab_agent_container_memory_limit_bytes", "busy") == 64 * 1024**2
    assert 0 < (agent.of_pod("trimtab_agent_container_memory_working_set_bytes", "busy") or 0) < 64 * 1024**2
    assert (agent.of_pod("trimtab_agent_pod_network_receive_bytes_total", "busy") or 0) >= 0


def test_cpu_time_agrees_with_the_time_that_passed_under_the_limit(
    cluster: Cluster, agent: AgentOnNode, namespace: str
) -> None:
    start_pod(
        cluster, namespace, "half", "while :; do :; done", resources={"limits": {"cpu": "200m", "memory": "64Mi"}}
    )
    name = "trimtab_agent_container_cpu_seconds_total"
    until(lambda: (agent.of_pod(name, "half") or 0) > 0, "CPU time of half")
    began, first = time.monotonic(), agent.of_pod(name, "half") or 0
    until(lambda: (agent.of_pod(name, "half") or 0) > first + 2, "two more seconds of CPU time")
    used, passed = (agent.of_pod(name, "half") or 0) - first, time.monotonic() - began
    assert 0.1 <= used / passed <= 0.3, f"{used:.2f} s of CPU in {passed:.2f} s at a limit of 0.2 cores"


def test_a_pod_on_the_nodes_network_has_no_traffic_of_its_own(
    cluster: Cluster, agent: AgentOnNode, namespace: str
) -> None:
    start_pod(cluster, namespace, "on-host", "sleep 600", host_network=True)
    until(lambda: agent.of_pod("trimtab_agent_container_cpu_seconds_total", "on-host") is not None, "on-host is seen")
    assert agent.of_pod("trimtab_agent_pod_network_receive_bytes_total", "on-host") is None


def test_the_sandbox_of_a_pod_is_not_shown_as_a_container(agent: AgentOnNode) -> None:
    containers = {labels["container"] for labels, _ in agent.samples("trimtab_agent_container_cpu_seconds_total")}
    assert containers
    assert not containers & {"", "POD", "pause"}


def test_each_container_is_shown_once(agent: AgentOnNode) -> None:
    samples = agent.samples("trimtab_agent_container_cpu_seconds_total")
    keys = [tuple(labels[each] for each in (*LABELS_OF_POD, "pod_uid")) for labels, _ in samples]
    assert len(keys) == len(set(keys))


def test_a_gpu_that_the_kubelet_gave_to_a_pod_is_shown_as_assigned(
    cluster: Cluster, agent: AgentOnNode, namespace: str, device_plugin: None
) -> None:
    path = f"-o=jsonpath={{.items[0].status.allocatable.{RESOURCE.replace('.', chr(92) + '.')}}}"
    until(lambda: cluster.kubectl("get", "nodes", path) == "2", f"2 allocatable {RESOURCE}")
    start_pod(cluster, namespace, "with-gpu", "sleep 600", resources={"limits": {RESOURCE: "1"}})
    visible = cluster.kubectl("-n", namespace, "exec", "with-gpu", "--", "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES")
    simulated = cluster.kubectl("-n", namespace, "exec", "with-gpu", "--", "sh", "-c", "echo $TRIMTAB_SIMULATED_GPU")
    assert visible.strip() in GPUS
    assert simulated.strip() == "true"

    def assigned() -> dict[str, str] | None:
        samples = agent.samples("trimtab_agent_gpu_assigned")
        return next((labels for labels, _ in samples if labels["pod"] == "with-gpu"), None)

    labels = eventually(assigned, "trimtab_agent_gpu_assigned of with-gpu", 30)
    assert labels == {
        "gpu": str(GPUS.index(visible.strip())),
        "uuid": visible.strip(),
        "simulated": "true",
        "namespace": namespace,
        "pod": "with-gpu",
        "container": "server",
    }
    cluster.kubectl("-n", namespace, "delete", "pod", "with-gpu", "--wait=true", "--timeout=60s")
    until(lambda: assigned() is None, "the assignment ends with the pod")


def test_the_containers_of_a_deleted_pod_are_no_longer_shown(
    cluster: Cluster, agent: AgentOnNode, namespace: str
) -> None:
    start_pod(cluster, namespace, "short", "sleep 600")
    name = "trimtab_agent_container_memory_working_set_bytes"
    until(lambda: agent.of_pod(name, "short") is not None, "the pod is seen")
    cluster.kubectl("-n", namespace, "delete", "pod", "short", "--wait=true", "--timeout=60s")
    until(lambda: agent.of_pod(name, "short") is None, "the pod is gone")
    assert "short" not in {labels["pod"] for labels, _ in agent.samples(name)}


def test_the_agent_stays_within_its_memory(agent: AgentOnNode) -> None:
    assert agent.samples("process_resident_memory_bytes")[0][1] < 100e6
