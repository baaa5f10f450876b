"""Container ids, pod uids and identities out of recorded path shapes."""

from __future__ import annotations

import pytest

from trimtab_agent.cgroup_paths import (
    CgroupPlace,
    ContainerIdentity,
    container_id_of,
    identity_in_mounts,
    place_of,
    place_of_process,
)

ID = "a67f4dc9fdfc701b56e116430789229376d04aae929b73b925d6dfd2f84925b0"
OTHER = "f04e76c2eaccce54a54d08b8f06c2aa19134022438754fb353e9f58b4a559841"
UID = "2459f636-eddf-4224-922d-76b82a8c3e41"
UID_ = UID.replace("-", "_")
STATIC_UID = "8a3fe94b1d2c4f5e6a7b8c9d0e1f2a3b"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(f"/kubepods/burstable/pod{UID}/{ID}", CgroupPlace(ID, UID), id="cgroupfs-burstable"),
        pytest.param(f"/kubepods/pod{UID}/{ID}", CgroupPlace(ID, UID), id="cgroupfs-guaranteed"),
        pytest.param(f"/trimtab/kubepods/besteffort/pod{UID}/{ID}", CgroupPlace(ID, UID), id="cgroupfs-below-a-root"),
        pytest.param(f"/kubepods/burstable/pod{UID}/{ID}/init.scope", CgroupPlace(ID, UID), id="inside-the-container"),
        pytest.param(
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope",
            CgroupPlace(ID, UID), id="systemd-containerd",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope", CgroupPlace(ID, UID), id="systemd-cri-o"
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope/container",
            CgroupPlace(ID, UID), id="systemd-cri-o-child",
        ),
        pytest.param(
            f"/kubepods.slice/kubepods-pod{UID_}.slice/docker-{ID}.scope", CgroupPlace(ID, UID), id="systemd-docker"
        ),
        pytest.param(
            f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope",
            CgroupPlace(ID, UID), id="kind",
        ),
        pytest.param(
            f"/docker/{OTHER}/kubelet/kubepods/burstable/pod{UID}/{ID}", CgroupPlace(ID, UID), id="node-in-a-container"
        ),
        pytest.param(
            f"/kubepods/burstable/pod{UID}/{ID}/docker/{OTHER}", CgroupPlace(ID, UID), id="container-in-a-container"
        ),
        pytest.param(f"/kubepods/burstable/pod{STATIC_UID}/{ID}", CgroupPlace(ID, STATIC_UID), id="static-pod"),
        pytest.param(
            f"/../../kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope",
            CgroupPlace(ID, UID), id="seen-from-a-cgroup-namespace",
        ),
        pytest.param(f"/../cri-containerd-{ID}.scope", CgroupPlace(ID, None), id="neighbour-in-a-cgroup-namespace"),
        pytest.param(f"/{ID}", CgroupPlace(ID, None), id="flat"),
        pytest.param(f"/k8s.io/{ID}", CgroupPlace(ID, None), id="flat-in-the-runtimes-namespace"),
        pytest.param(f"/docker/{OTHER}/k8s.io/{ID}", CgroupPlace(ID, None), id="flat-node-in-a-container"),
        pytest.param(f"/kubepods/burstable/pod{UID}", None, id="the-pod-itself"),
        pytest.param(f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-conmon-{ID}.scope", None, id="cri-o-monitor"),
        pytest.param("/system.slice/containerd.service", None, id="system-service"),
        pytest.param("/process_api/0c1f000112d63ca6c0b80473c830039c", None, id="32-digits"),
        pytest.param("/", None, id="root"),
        pytest.param("", None, id="empty"),
    ],
)  # fmt: skip
def test_a_cgroup_path_tells_container_and_pod(path: str, expected: CgroupPlace | None) -> None:
    assert place_of(path) == expected


@pytest.mark.parametrize(
    ("component", "expected"),
    [(ID, ID), (f"cri-containerd-{ID}.scope", ID), (f"{ID}.scope", ID), (ID[:-1], None), (ID.upper(), None)],
)
def test_a_container_id_has_64_lower_case_digits(component: str, expected: str | None) -> None:
    assert container_id_of(component) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            f"12:pids:/\n5:cpu,cpuacct:/kubepods/pod{UID}/{ID}\n1:name=systemd:/kubepods/pod{UID}/{ID}\n0::/\n",
            CgroupPlace(ID, UID), id="v1-hybrid",
        ),
        pytest.param(f"0::/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope\n", CgroupPlace(ID, UID),
                     id="v2"),
        pytest.param("0::/user.slice/user-0.slice/session-1.scope\n", None, id="a-shell"),
        pytest.param("", None, id="process-gone"),
        pytest.param("nonsense\n", None, id="nonsense"),
    ],
)  # fmt: skip
def test_a_process_belongs_to_the_container_that_its_cgroups_name(text: str, expected: CgroupPlace | None) -> None:
    assert place_of_process(text) == expected


def mount(source: str, target: str = "/dev/termination-log") -> str:
    return f"842 806 254:0 {source} {target} rw,relatime - ext4 /dev/root rw,discard\n"


KUBELET_DIRECTORY = f"/var/lib/kubelet/pods/{UID}/containers/server/5f2b9c1a"


@pytest.mark.parametrize(
    ("mountinfo", "pod_uid", "expected"),
    [
        pytest.param(mount(KUBELET_DIRECTORY), UID, ContainerIdentity(UID, "server"), id="usual-root"),
        pytest.param(mount(KUBELET_DIRECTORY), None, ContainerIdentity(UID, "server"), id="uid-from-the-mount"),
        pytest.param(
            mount(f"/pods/{UID}/containers/server/5f2b9c1a"), UID, ContainerIdentity(UID, "server"), id="own-disk"
        ),
        pytest.param(
            mount("/", "/") + mount(f"/x/kubelet/pods/{UID}/etc-hosts", "/etc/hosts") + mount(KUBELET_DIRECTORY),
            UID, ContainerIdentity(UID, "server"), id="among-others",
        ),
        pytest.param(
            mount(f"/var/lib/kubelet/pods/{STATIC_UID}/containers/kube-apiserver/0badcafe"), None,
            ContainerIdentity(STATIC_UID, "kube-apiserver"), id="static-pod",
        ),
        pytest.param(mount(KUBELET_DIRECTORY), STATIC_UID, None, id="uid-contradicts-the-cgroup"),
        pytest.param(
            mount(f"/k/pods/{STATIC_UID}/volumes/kubernetes.io~empty-dir/v/pods/{UID}/containers/server/5f2b9c1a"),
            None, None, id="forged-inside-a-volume",
        ),
        pytest.param(mount("/sandboxes/abc/resolv.conf", "/etc/resolv.conf"), UID, None, id="sandbox"),
        pytest.param("", UID, None, id="process-gone"),
        pytest.param("a b c\n", UID, None, id="nonsense"),
    ],
)  # fmt: skip
def test_the_mounts_of_a_process_tell_what_the_kubelet_calls_its_container(
    mountinfo: str, pod_uid: str | None, expected: ContainerIdentity | None
) -> None:
    assert identity_in_mounts(mountinfo, pod_uid) == expected
