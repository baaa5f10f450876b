"""The parts are the real ones: the pinned server, a containerd node under the engine's pods, working DNS."""

from __future__ import annotations

import json

from harness.cluster import Cluster, eventually
from harness.room import Room
from harness.workload import deployment

from dev.cluster.binaries import KUBERNETES_VERSION as PINNED_KUBERNETES


def test_the_server_is_the_pinned_kubernetes(cluster: Cluster) -> None:
    version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
    assert version == PINNED_KUBERNETES


def test_an_engine_pod_runs_in_containerd_as_nobody_on_a_read_only_root(room: Room, engine_image: str) -> None:
    room.apply(deployment(engine_image, gpus=0))
    room.wait_ready(1)
    (pod,) = room.cluster.objects("pods", room.namespace)
    assert pod["status"]["containerStatuses"][0]["containerID"].startswith("containerd://")
    (node,) = json.loads(room.cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    probe = "import os,pathlib; print(os.getuid()); pathlib.Path('/opt/x').write_text('x')"
    said = room.kubectl("exec", pod["metadata"]["name"], "--", "/opt/trimtab/bin/python", "-c", probe, check=False)
    assert said.startswith("65532")
    assert "Read-only file system" in said


def test_cluster_dns_resolves_a_service_from_a_pod(room: Room, engine_image: str) -> None:
    room.apply(deployment(engine_image, gpus=0))
    room.wait_ready(1)
    (pod,) = room.cluster.objects("pods", room.namespace)
    probe = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    command = ("exec", pod["metadata"]["name"], "--", "/opt/trimtab/bin/python", "-c", probe)
    answer = eventually(lambda: room.kubectl(*command, check=False).strip(), "DNS answers", 30)
    assert answer == "10.96.0.1"
