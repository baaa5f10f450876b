"""Reads the node's pods: containers from cgroups, their names from mounts and log directories, traffic from /proc."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trimtab_agent.cgroup_paths import ContainerIdentity, identity_in_mounts
from trimtab_agent.cgroups import ContainerCgroup, find_containers, find_tree, read_usage
from trimtab_agent.network import parse_traffic
from trimtab_agent.pods import read_pod_names
from trimtab_agent.processes import ProcessTable
from trimtab_agent.snapshot import ContainerReading, NodeReading, PodName, PodTraffic, SourceState


@dataclass(frozen=True)
class _Running:
    """A container whose name and a live process are known."""

    cgroup: ContainerCgroup
    pid: int
    identity: ContainerIdentity
    name: PodName


class NodePods:
    """The pods of this node. A container's identity never changes, so it is remembered while it lives."""

    def __init__(self, cgroup_root: Path, proc_root: Path, pod_logs: Path) -> None:
        self._cgroup_root = cgroup_root
        self._pod_logs = pod_logs
        self._processes = ProcessTable(proc_root)
        self._identities: dict[str, ContainerIdentity] = {}

    def read(self) -> NodeReading:
        """Read usage and traffic now. Raises OSError when a mounted root cannot be read."""
        tree = find_tree(self._cgroup_root)
        if tree is None or not self._pod_logs.is_dir() or not self._processes.exists():
            return NodeReading(cgroup_state=SourceState.MISSING, network_state=SourceState.MISSING)
        running = self._running({found.place.container_id: found for found in find_containers(tree)})
        containers = tuple(
            ContainerReading(
                each.name, each.identity.pod_uid, each.identity.container, read_usage(tree, each.cgroup.path)
            )
            for each in running
        )
        host_network = self._processes.network(1)
        if host_network is None:  # without it a pod on the host's network could not be told from one with its own
            return NodeReading(containers, network_state=SourceState.ERROR)
        return NodeReading(containers, self._traffic(running, host_network))

    def _running(self, cgroups: Mapping[str, ContainerCgroup]) -> list[_Running]:
        """List containers with a live process and a name, one for each (pod, container)."""
        pids = self._processes.find(cgroups.keys())
        self._identities = {key: value for key, value in self._identities.items() if key in cgroups}
        names = read_pod_names(self._pod_logs)
        running: dict[ContainerIdentity, _Running] = {}
        for container_id, pid in sorted(pids.items(), key=lambda pair: pair[1]):
            identity = self._identity(cgroups[container_id], pid)
            name = None if identity is None else names.get(identity.pod_uid)
            if identity is not None and name is not None:
                running[identity] = _Running(cgroups[container_id], pid, identity, name)
        return list(running.values())

    def _identity(self, cgroup: ContainerCgroup, pid: int) -> ContainerIdentity | None:
        """Return None for a pod's sandbox and for containers that are not the kubelet's."""
        container_id = cgroup.place.container_id
        if container_id not in self._identities:
            identity = identity_in_mounts(self._processes.mounts(pid), cgroup.place.pod_uid)
            if identity is None:
                return None
            self._identities[container_id] = identity
        return self._identities[container_id]

    def _traffic(self, running: list[_Running], host_network: int) -> tuple[PodTraffic, ...]:
        """Read the traffic of each pod with a network of its own, as any process of it tells."""
        pods: dict[str, PodTraffic] = {}
        for each in running:
            uid = each.identity.pod_uid
            if uid in pods or self._processes.network(each.pid) in (None, host_network):
                continue
            traffic = parse_traffic(self._processes.traffic(each.pid))
            if traffic is not None:
                pods[uid] = PodTraffic(each.name, uid, traffic)
        return tuple(pods.values())
