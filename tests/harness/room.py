"""One scenario's namespace: apply things there, ask what became of them, and what the operator wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.audit import AuditLog, Write
from harness.cluster import Cluster, eventually
from harness.gpus import SimulatedGpus

OPERATOR = "system:serviceaccount:trimtab-system:trimtab-operator"


@dataclass(frozen=True)
class Room:
    """A namespace of its own with a mark in the audit log from when it was made."""

    cluster: Cluster
    audit: AuditLog
    gpus: SimulatedGpus
    namespace: str
    mark: int

    @classmethod
    def open(cls, cluster: Cluster, audit: AuditLog, gpus: SimulatedGpus, namespace: str) -> Room:
        """Make the namespace."""
        cluster.kubectl("create", "namespace", namespace)
        return cls(cluster, audit, gpus, namespace, audit.mark())

    def apply(self, *manifests: dict[str, Any], server_side: bool = False) -> None:
        """Apply objects into this namespace."""
        placed = [{**item, "metadata": {**item["metadata"], "namespace": self.namespace}} for item in manifests]
        self.cluster.apply(*placed, server_side=server_side)

    def kubectl(self, *args: str, check: bool = True) -> str:
        """Run kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *args, check=check)

    def trimtab(self, *args: str) -> str:
        """Run the kubectl plugin in this namespace."""
        return self.cluster.trimtab(*args, "-n", self.namespace)

    def replicas(self, name: str = "chat") -> int:
        """What the Deployment asks for."""
        found = self.cluster.get("deployment", name, self.namespace)
        return int(found["spec"]["replicas"]) if found else 0

    def ready(self, name: str = "chat") -> int:
        """How many of its pods serve."""
        found = self.cluster.get("deployment", name, self.namespace)
        return int(found["status"].get("readyReplicas", 0)) if found else 0

    def status(self, name: str = "chat") -> dict[str, Any]:
        """The policy's status, empty before the first tick."""
        found = self.cluster.get("optimizationpolicy", name, self.namespace)
        return dict(found.get("status", {})) if found else {}

    def condition(self, kind: str, name: str = "chat") -> tuple[str, str, str]:
        """(status, reason, message) of a condition; three times "" when it is not there."""
        for condition in self.status(name).get("conditions", []):
            if condition["type"] == kind:
                return condition["status"], condition["reason"], condition.get("message", "")
        return "", "", ""

    def wait_ready(self, count: int, name: str = "chat", seconds: float = 120) -> None:
        """Wait until so many pods serve."""
        eventually(lambda: self.ready(name) >= count, f"{count} ready pods of {name}", seconds)

    def wait_replicas(self, count: int, name: str = "chat", seconds: float = 60) -> None:
        """Wait until the Deployment asks for so many replicas."""
        eventually(lambda: self.replicas(name) == count, f"{name} scaled to {count}", seconds)

    def wait_condition(self, kind: str, status: str, reason: str, name: str = "chat", seconds: float = 60) -> str:
        """Wait for a condition; its message."""
        seen = ("", "", "")

        def stands() -> bool:
            nonlocal seen
            seen = self.condition(kind, name)
            return seen[:2] == (status, reason)

        eventually(stands, f"{kind}={status}/{reason} of {name}", seconds)
        return seen[2]

    def wait_trusted(self, name: str = "chat", seconds: float = 90) -> None:
        """Wait until the operator trusts what it sees of this policy."""
        eventually(lambda: self.condition("MetricsTrusted", name)[0] == "True", f"trusted metrics of {name}", seconds)

    def writes(self, resource: str, since: int | None = None) -> list[Write]:
        """What the operator wrote here to one resource since the mark, refused requests included."""
        found = self.audit.writes(self.mark if since is None else since, OPERATOR, self.namespace)
        return [write for write in found if write.resource == resource]

    def events(self, reason: str) -> list[str]:
        """Messages of the Events with this reason."""
        return [
            event.get("message") or event.get("note", "")
            for event in self.cluster.objects("events", self.namespace)
            if event["reason"] == reason
        ]
