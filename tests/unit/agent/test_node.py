"""The pods of a node, read from trees as kernels and kubelets make them."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from trimtab_agent.node import NodePods
from trimtab_agent.processes import PATIENCE_SCANS
from trimtab_agent.snapshot import ContainerUsage, NodeReading, PodName, PodTraffic, SourceState, Traffic

SERVER, SANDBOX = "a" * 64, "b" * 64
UID = "2459f636-eddf-4224-922d-76b82a8c3e41"
UID_ = UID.replace("-", "_")
NAME = PodName("prod", "chat-7d9f")
KUBELET = f"/var/lib/kubelet/pods/{UID}/containers/server/5f2b9c1a"
USAGE = ContainerUsage(2.0, 0.5, 10, 1, 0.005, 2000, 8000, 0)
SHAPES = [
    pytest.param("v1", "kubepods/burstable/pod{uid}/{id}", id="v1-cgroupfs"),
    pytest.param("v2", "kubepods/burstable/pod{uid}/{id}", id="v2-cgroupfs"),
    pytest.param("v1", "kubepods.slice/kubepods-pod{uid_}.slice/cri-containerd-{id}.scope", id="v1-systemd"),
    pytest.param("v2", "kubepods.slice/kubepods-pod{uid_}.slice/cri-containerd-{id}.scope", id="v2-systemd"),
    pytest.param("v1", "k8s.io/{id}", id="v1-flat"),
    pytest.param("v2", "{id}", id="v2-flat"),
]


def path_of(shape: str, container_id: str) -> str:
    return shape.format(uid=UID, uid_=UID_, id=container_id)


def pods(tree: Any) -> NodePods:
    return NodePods(tree.cgroup, tree.proc, tree.logs)


def with_chat(tree: Any, version: str = "v1", shape: str = "kubepods/burstable/pod{uid}/{id}") -> Any:
    """Put one pod on the node: a sandbox and a container `server`, in a network of their own."""
    getattr(tree, version)()
    for container_id, pid, mount in ((SANDBOX, 100, "/"), (SERVER, 101, KUBELET)):
        tree.container(path_of(shape, container_id))
        network_of = None if pid == 100 else 100
        tree.process(pid, "/" + path_of(shape, container_id), mount, network_of)
    tree.pod(NAME.namespace, NAME.pod, UID)
    return tree


@pytest.mark.parametrize(("version", "shape"), SHAPES)
def test_a_container_is_read_by_its_name_in_every_shape_of_cgroup_tree(
    node_tree: Any, version: str, shape: str
) -> None:
    reading = pods(with_chat(node_tree, version, shape)).read()
    assert [(each.name, each.pod_uid, each.container) for each in reading.containers] == [(NAME, UID, "server")]
    assert reading.containers[0].usage == USAGE
    assert reading.cgroup_state is reading.network_state is SourceState.OK


def test_the_traffic_of_a_pod_is_that_of_its_interfaces_without_the_loopback(node_tree: Any) -> None:
    assert pods(with_chat(node_tree)).read().pods == (PodTraffic(NAME, UID, Traffic(1020, 406)),)


def test_a_pod_on_the_hosts_network_has_no_traffic_of_its_own(node_tree: Any) -> None:
    with_chat(node_tree)
    shutil.rmtree(node_tree.proc / "101")
    node_tree.process(101, f"/kubepods/burstable/pod{UID}/{SERVER}", KUBELET, network_of=1)
    reading = pods(node_tree).read()
    assert reading.pods == ()
    assert len(reading.containers) == 1


def test_a_container_that_was_killed_and_started_again_is_shown_once(node_tree: Any) -> None:
    with_chat(node_tree)
    successor = f"kubepods/burstable/pod{UID}/{'c' * 64}"
    node_tree.container(successor)
    (node_tree.cgroup / "cpuacct" / successor / "cpuacct.usage").write_text("1000000000\n")
    node_tree.process(205, "/" + successor, KUBELET.replace("5f2b9c1a", "00000001"), network_of=100)
    reading = pods(node_tree).read()
    assert [each.usage.cpu_seconds for each in reading.containers] == [1.0]


def test_a_container_whose_processes_are_gone_is_not_shown_any_more(node_tree: Any) -> None:
    source = pods(with_chat(node_tree))
    assert len(source.read().containers) == 1
    shutil.rmtree(node_tree.proc / "101")
    assert source.read().containers == ()


def test_a_pid_that_another_process_got_is_not_mistaken_for_the_container(node_tree: Any) -> None:
    source = pods(with_chat(node_tree))
    source.read()
    shutil.rmtree(node_tree.proc / "101")
    node_tree.process(101, "/system.slice/sshd.service")
    assert source.read().containers == ()


def test_a_pod_that_starts_between_two_reads_is_found(node_tree: Any) -> None:
    node_tree.v1()
    source = pods(node_tree)
    assert source.read() == NodeReading()
    for controller in ("cpu", "cpuacct", "memory", "unified"):
        (node_tree.cgroup / controller).rmdir()
    with_chat(node_tree)
    assert len(source.read().containers) == 1


def test_a_pod_without_log_directory_is_left_out_until_it_has_one(node_tree: Any) -> None:
    with_chat(node_tree)
    shutil.rmtree(node_tree.logs)
    node_tree.logs.mkdir()
    source = pods(node_tree)
    assert source.read().containers == ()
    node_tree.pod(NAME.namespace, NAME.pod, UID)
    assert len(source.read().containers) == 1


@pytest.mark.parametrize("missing", ["cgroup", "proc", "logs"])
def test_a_node_without_one_of_the_mounts_is_a_state_and_not_an_error(node_tree: Any, missing: str) -> None:
    with_chat(node_tree)
    shutil.rmtree(getattr(node_tree, missing))
    reading = pods(node_tree).read()
    assert reading.cgroup_state is SourceState.MISSING
    assert reading.containers == ()


def test_traffic_is_not_guessed_while_the_hosts_network_is_unknown(node_tree: Any) -> None:
    with_chat(node_tree)
    (node_tree.proc / "1" / "net" / "dev").unlink()
    reading = pods(node_tree).read()
    assert reading.network_state is SourceState.ERROR
    assert reading.pods == ()
    assert len(reading.containers) == 1


def test_a_cgroup_without_memory_controller_leaves_memory_absent(node_tree: Any) -> None:
    with_chat(node_tree)
    shutil.rmtree(node_tree.cgroup / "memory")
    usage = pods(node_tree).read().containers[0].usage
    assert usage.cpu_seconds == 2.0
    assert usage.memory_working_set_bytes is None


def test_a_container_whose_first_process_comes_later_is_found_at_once(node_tree: Any) -> None:
    with_chat(node_tree)
    late = f"kubepods/burstable/pod{UID}/{'d' * 64}"
    node_tree.container(late)
    source = pods(node_tree)
    assert len(source.read().containers) == 1
    node_tree.process(300, "/" + late, KUBELET.replace("server", "sidecar"))
    assert {each.container for each in source.read().containers} == {"server", "sidecar"}


def test_a_cgroup_that_stays_without_process_is_searched_for_rarely_but_not_given_up(node_tree: Any) -> None:
    with_chat(node_tree)
    empty = f"kubepods/burstable/pod{UID}/{'d' * 64}"
    node_tree.container(empty)
    source = pods(node_tree)
    for _ in range(PATIENCE_SCANS + 1):
        source.read()
    node_tree.process(300, "/" + empty, KUBELET.replace("server", "sidecar"))
    seen = [len(source.read().containers) for _ in range(PATIENCE_SCANS)]
    assert seen[0] == 1
    assert seen[-1] == 2


def test_the_controllers_of_a_joint_mount_are_found(node_tree: Any) -> None:
    with_chat(node_tree)
    for controller in ("cpu", "cpuacct"):
        shutil.copytree(node_tree.cgroup / controller, node_tree.cgroup / "cpu,cpuacct", dirs_exist_ok=True)
        shutil.rmtree(node_tree.cgroup / controller)
    assert pods(node_tree).read().containers[0].usage == USAGE
