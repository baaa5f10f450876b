"""What the shell shall do. A step either persists an intent (status) or acts, never both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Scale:
    """Set the target's replicas through its scale subresource; `resource_version` makes a stale write a conflict."""

    namespace: str
    name: str
    kind: str
    replicas: int
    resource_version: str
    intent_id: str


@dataclass(frozen=True)
class Event:
    """One Kubernetes Event about the policy; deduplicated by (reason, message)."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


Action = Scale


@dataclass(frozen=True)
class Step:
    """The outcome of a tick.

    `status` is the complete new status (camelCase JSON of the API), or None when nothing is worth a write;
    `actions` is empty whenever `status` persists a new intent. `requeue_seconds` is when to look again.
    """

    status: dict[str, Any] | None
    actions: tuple[Action, ...]
    events: tuple[Event, ...]
    requeue_seconds: float
