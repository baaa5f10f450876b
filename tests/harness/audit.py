"""What was written, by whom: the API server's own audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

READS = {"get", "list", "watch"}


@dataclass(frozen=True)
class Write:
    """One request that changes something, as the audit log tells it."""

    at: float
    user: str
    verb: str
    resource: str  # with its subresource: deployments/scale
    group: str
    namespace: str
    name: str
    code: int


@dataclass(frozen=True)
class AuditLog:
    """The log of the embedded cluster, read from a mark on."""

    path: Path

    def mark(self) -> int:
        """Where the log ends now."""
        return self.path.stat().st_size

    def entries(self, since: int, user: str) -> list[dict[str, Any]]:
        """Completed requests of `user` after the mark."""
        with self.path.open("rb") as log:
            log.seek(since)
            lines = log.read().split(b"\n")[:-1]
        events = (json.loads(line) for line in lines if line.strip())
        return [
            event for event in events if event.get("stage") == "ResponseComplete" and event["user"]["username"] == user
        ]

    def writes(self, since: int, user: str, namespace: str | None = None) -> list[Write]:
        """What `user` changed after the mark, in all namespaces or in one; refused requests count too."""
        writes = [_write(event) for event in self.entries(since, user) if event["verb"] not in READS]
        return [write for write in writes if namespace is None or write.namespace == namespace]


def _write(event: dict[str, Any]) -> Write:
    reference = event.get("objectRef", {})
    resource = reference.get("resource", "")
    if reference.get("subresource"):
        resource += "/" + reference["subresource"]
    at = datetime.fromisoformat(event["stageTimestamp"].replace("Z", "+00:00")).timestamp()
    return Write(
        at=at,
        user=event["user"]["username"],
        verb=event["verb"],
        resource=resource,
        group=reference.get("apiGroup", ""),
        namespace=reference.get("namespace", ""),
        name=reference.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
    )
