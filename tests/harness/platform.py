"""The installed operator: who leads, which process that is, what it may do and what it did."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.audit import READS, AuditLog
from harness.cluster import Cluster, eventually
from harness.room import OPERATOR, Room

NAMESPACE = "trimtab-system"
LEASE = "trimtab-operator"
MODE_CONFIG_MAP = "trimtab-mode"
POD_NAME_KEY = "authentication.kubernetes.io/pod-name"
Grant = tuple[str, str, str]  # API group, resource with subresource, verb


@dataclass(frozen=True)
class Steady:
    """A policy at constant load; from `begins` (unix seconds) on, nothing about it changes any more."""

    room: Room
    begins: float


@dataclass
class Platform:
    """The chart's release in `trimtab-system`."""

    cluster: Cluster
    audit: AuditLog
    mark: int
    _failover_at: float = field(default=0.0)

    def lease(self) -> dict[str, Any]:
        """Spec of the election's Lease, empty before the first election."""
        found = self.cluster.get("lease", LEASE, NAMESPACE)
        return dict(found["spec"]) if found else {}

    def leader(self) -> str:
        """Name of the leading pod, "" while nobody leads."""
        holder = str(self.lease().get("holderIdentity") or "")
        name = next((pod for pod in self.operator_pods() if holder.startswith(pod)), "")
        if name != getattr(self, "_last_leader", name):
            self._failover_at = time.time()
        if name:
            self._last_leader = name
        return name

    def operator_pods(self) -> list[str]:
        """Names of the operator's pods."""
        pods = self.cluster.objects("pods", NAMESPACE, "-l", "app.kubernetes.io/component=operator")
        return [pod["metadata"]["name"] for pod in pods]

    def recorded(self, pod: str) -> list[str]:
        """The ticks that a pod of the operator recorded; none where it never led."""
        said = self.cluster.kubectl("-n", NAMESPACE, "exec", pod, "--", "trimtab-recording", check=False)
        return [line for line in said.splitlines() if line.startswith("{")]

    def seconds_since_failover(self) -> float:
        """Time since `leader` first named another pod."""
        return time.time() - self._failover_at

    def renewed_after(self, moment: float) -> bool:
        """Whether a leader took or renewed the Lease after `moment` (unix seconds)."""
        renewed = str(self.lease().get("renewTime") or "")
        return bool(renewed) and datetime.fromisoformat(renewed.replace("Z", "+00:00")).timestamp() > moment

    def process_of(self, pod: str) -> int:
        """Process id on this host of the operator in that pod."""
        found = eventually(lambda: _process(pod), f"a process of {pod} on this host", 30)
        assert found is not None
        return found

    def kill_leader(self) -> None:
        """End the leader's process at once, as a crash does."""
        os.kill(self.process_of(self.leader()), signal.SIGKILL)

    def lose_leader(self) -> None:
        """The same, and its pod with it: a container that dies again and again would be started ever later."""
        leader = self.leader()
        self.kill_leader()
        self.cluster.kubectl("-n", NAMESPACE, "delete", "pod", leader, "--grace-period=0", "--force")

    def restarted(self, pod: str, process: int) -> bool:
        """Whether that process of the pod is gone."""
        return _process(pod) != process

    def writes_by_pod(self, since: int, pod: str) -> list[Any]:
        """Writes that the API server attests to come from that pod."""
        entries = self.audit.entries(since, OPERATOR)
        mine = {entry["auditID"] for entry in entries if pod in entry["user"].get("extra", {}).get(POD_NAME_KEY, [])}
        writes = [entry for entry in entries if entry["auditID"] in mine and entry["verb"] not in READS]
        return [_Answer(entry["verb"], entry.get("responseStatus", {}).get("code", 0)) for entry in writes]

    @contextmanager
    def max_mode(self, mode: str) -> Iterator[None]:
        """Pull the kill switch for a while, as a person does."""
        self._set_mode(mode)
        try:
            yield
        finally:
            self._set_mode("Apply")

    def granted_verbs(self) -> set[Grant]:
        """Every verb that RBAC gives the operator's account, on API groups that this cluster serves."""
        served = {version.partition("/")[0] for version in self.cluster.kubectl("api-versions").split()} | {""}
        grants: set[Grant] = set()
        for kind, binding in (("clusterrole", "clusterrolebinding"), ("role", "rolebinding")):
            for bound in self._bindings(binding):
                namespace = bound["metadata"].get("namespace", "")
                role = self.cluster.get(kind, bound["roleRef"]["name"], namespace or "default")
                assert role, bound["roleRef"]
                grants |= {
                    (group, resource, verb)
                    for rule in role["rules"]
                    for group in rule.get("apiGroups", [])
                    if group in served
                    for resource in rule.get("resources", [])
                    for verb in rule["verbs"]
                }
        return grants

    def used_verbs(self) -> set[Grant]:
        """Every verb that the operator's account used since the release was installed."""
        used: set[Grant] = set()
        for entry in self.audit.entries(self.mark, OPERATOR):
            reference = entry.get("objectRef")
            if reference and reference.get("resource"):
                subresource = f"/{reference['subresource']}" if reference.get("subresource") else ""
                used.add((reference.get("apiGroup", ""), reference["resource"] + subresource, entry["verb"]))
        return used

    def _bindings(self, kind: str) -> list[dict[str, Any]]:
        items = json.loads(self.cluster.kubectl("get", kind, "-A", "-o", "json"))["items"]
        return [item for item in items if any(_is_operator(subject) for subject in item.get("subjects", []))]

    def _set_mode(self, mode: str) -> None:
        patch = json.dumps({"data": {"maxMode": mode}})
        self.cluster.kubectl("-n", NAMESPACE, "patch", "configmap", MODE_CONFIG_MAP, "--type", "merge", "-p", patch)


@dataclass(frozen=True)
class _Answer:
    verb: str
    code: int


def _is_operator(subject: dict[str, Any]) -> bool:
    return subject.get("kind") == "ServiceAccount" and subject.get("name") == "trimtab-operator"


def _process(pod: str) -> int | None:
    """The operator's own process in a pod: the one whose environment names the pod."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if f"POD_NAME={pod}".encode() in environment and b"trimtab-operator" in command:
            return int(folder.name)
    return None
