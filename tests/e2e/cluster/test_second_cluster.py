"""Up, down, and everything between, on a cluster of its own."""

from __future__ import annotations

import signal
import time
from os import kill
from typing import Any

import pytest

from dev.cluster.binaries import KUBERNETES_VERSION

PROBE = """
import socket, ssl, urllib.error, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount/"
trust = ssl.create_default_context(cafile=account + "ca.crt")
def ask(path):
    request = urllib.request.Request("https://kubernetes.default" + path)
    request.add_header("Authorization", "Bearer " + open(account + "token").read())
    try:
        return urllib.request.urlopen(request, context=trust, timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code
print("dns", socket.gethostbyname("kubernetes.default"))
print("api", ask("/api"), "pods", ask("/api/v1/pods"))
print("service", urllib.request.urlopen("http://web.default.svc.cluster.local/", timeout=5).status)
"""


def pids(place: Any) -> list[str]:
    return [line for line in place.cluster("status").splitlines() if " pid " in line]


def a_pod(place: Any) -> str:
    return str(place.kubectl("get", "pods", "-l", "app=web", "-o", "name").split()[0])


def test_the_node_is_ready_at_the_pinned_version_on_containerd(second: Any) -> None:
    status = second.cluster("status")
    assert status.startswith("running\n")
    assert f"trimtab-node {KUBERNETES_VERSION} containerd://" in status


def test_a_pod_resolves_names_and_speaks_to_the_api_with_its_own_token(second: Any) -> None:
    said = second.kubectl("exec", a_pod(second), "--", "python3", "-c", PROBE).split("\n")
    assert said[:3] == ["dns 10.96.0.1", "api 200 pods 403", "service 200"]


def test_the_host_reaches_a_service_and_its_pods_log_it(second: Any) -> None:
    address = second.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    code = f"import urllib.request; print(urllib.request.urlopen('http://{address}/from-the-host', timeout=5).status)"
    second.run("python3", "-c", code, check=False)
    deadline = time.monotonic() + 20
    while "from-the-host" not in second.kubectl("logs", "-l", "app=web", "--tail=50"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_memory_limit_is_enforced(second: Any) -> None:
    image = second.kubectl("get", "deployment", "web", "-o", "jsonpath={..image}")
    second.kubectl(
        "run", "greedy", f"--image={image}", "--restart=Never",
        '--overrides={"spec":{"containers":[{"name":"greedy","image":"' + image + '","command":["python3","-c",'
        '"x = bytearray(200_000_000); print(len(x))"],"resources":{"limits":{"memory":"32Mi"}}}]}}',
    )  # fmt: skip
    query = "jsonpath={.status.containerStatuses[0].state.terminated.reason}"
    deadline = time.monotonic() + 60
    while second.kubectl("get", "pod", "greedy", "-o", query) != "OOMKilled":
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_up_again_is_quick_and_restarts_nothing(second: Any) -> None:
    before = pids(second)
    started = time.monotonic()
    second.cluster("up")
    assert time.monotonic() - started < 15
    assert pids(second) == before


@pytest.mark.parametrize("component", ["apiserver", "containerd", "mounts"])
def test_a_lost_component_is_reported_and_brought_back(second: Any, component: str) -> None:
    line = next(line for line in pids(second) if line.startswith(component))
    kill(int(line.split()[-1]), signal.SIGKILL)
    assert "BROKEN" in second.run("python3", "-m", "dev.cluster", "status", check=False)
    second.cluster("up")
    assert second.cluster("status").startswith("running\n")
    second.kubectl("rollout", "status", "deployment/web", "--timeout=120s")


def test_down_leaves_nothing_and_may_be_said_twice(second: Any) -> None:
    second.cluster("down")
    assert {kind: found for kind, found in second.traces().items() if found} == {}
    second.cluster("down")
    assert second.cluster("status") == "absent\n"


@pytest.mark.parametrize("seconds", [0.7, 3.0, 5.0])
def test_up_killed_half_way_is_finished_by_the_next_up(elsewhere: Any, seconds: float) -> None:
    elsewhere.up_killed_after(seconds)
    elsewhere.cluster("up")
    assert elsewhere.cluster("status").startswith("running\n")
    elsewhere.cluster("down")
    assert {kind: found for kind, found in elsewhere.traces().items() if found} == {}
