"""Reads container ids and pod uids out of cgroup paths, and identities out of mount tables: pure, opens no file.

Shapes that are understood, with any prefix:
  kubepods/burstable/pod<uid>/<id>: cgroupfs driver
  kubepods-burstable-pod<uid with _>.slice/cri-containerd-<id>.scope: systemd driver (also crio-, docker-)
  <id> or k8s.io/<id>: kubelet with cgroupsPerQOS: false, no pod uid in the path
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

POD_UID = r"[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32}"
"""A uid of the API server, or the 32 digits by which the kubelet calls a static pod."""

_POD = re.compile(rf"(?:.*-)?pod({POD_UID})(?:\.slice)?")
_CONTAINER = re.compile(r"(?:(?P<runtime>[a-z][a-z-]*)-)?(?P<id>[0-9a-f]{64})(?:\.scope)?")
_NOT_CONTAINERS = ("crio-conmon", "libpod-conmon")
_CONTAINER_DIRECTORY = re.compile(rf"/pods/(?P<uid>{POD_UID})/containers/(?P<name>[a-z0-9.-]+)/[0-9a-f]{{8}}")


@dataclass(frozen=True)
class CgroupPlace:
    """Which container a cgroup belongs to, and its pod where the path says so."""

    container_id: str
    pod_uid: str | None


@dataclass(frozen=True)
class ContainerIdentity:
    """What the kubelet calls a container."""

    pod_uid: str
    container: str


def container_id_of(component: str) -> str | None:
    """Return the container id in one path component, None where it names no container."""
    match = _CONTAINER.fullmatch(component)
    return None if match is None or match["runtime"] in _NOT_CONTAINERS else match["id"]


def place_of(path: str) -> CgroupPlace | None:
    """Return the container that a cgroup path belongs to.

    Below a pod the outermost container counts (a container may run containers of its own); elsewhere the innermost
    (the node itself may be a container).
    """
    components = path.split("/")
    uid, below = _pod_in(components)
    ids = [found for component in below if (found := container_id_of(component)) is not None]
    if not ids:
        return None
    return CgroupPlace(ids[-1] if uid is None else ids[0], uid)


def place_of_process(cgroup_file: str) -> CgroupPlace | None:
    """Return the container of a process, from /proc/<pid>/cgroup (`hierarchy:controllers:path` lines, v1 and v2)."""
    for line in cgroup_file.splitlines():
        place = place_of(line.partition(":")[2].partition(":")[2])
        if place is not None:
            return place
    return None


def identity_in_mounts(mountinfo: str, pod_uid: str | None) -> ContainerIdentity | None:
    """Return the identity of a container, from the text of /proc/<pid>/mountinfo of one of its processes.

    The kubelet mounts <its root>/pods/<uid>/containers/<name>/<8 digits> into every container as the termination log.
    Only the first `/pods/` of a source counts, so that a directory of that name inside a pod's volume proves nothing; a
    uid that contradicts the cgroup path is not believed either.
    """
    for line in mountinfo.splitlines():
        fields = line.split(" ", 4)
        if len(fields) < 5:
            continue
        source = fields[3]
        match = _CONTAINER_DIRECTORY.fullmatch(source, max(source.find("/pods/"), 0))
        if match is not None and pod_uid in (None, match["uid"]):
            return ContainerIdentity(match["uid"], match["name"])
    return None


def _pod_in(components: Sequence[str]) -> tuple[str | None, Iterable[str]]:
    for position, component in enumerate(components):
        match = _POD.fullmatch(component)
        if match is not None:
            return match[1].replace("_", "-"), components[position + 1 :]
    return None, components
