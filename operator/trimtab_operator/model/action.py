"""What the shell shall do. A step either persists an intent (status) or acts, never both."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class DeleteTrial:
    """Remove an old trial from the ledger; its policy's history keeps the count."""

    namespace: str
    name: str


Action = Scale | DeleteTrial


@dataclass(frozen=True)
class TrialRecord:
    """What is to be stored of a trial: a new object (`body`), or the new `status` of one that exists.

    Both are complete, in API spelling; `before` is the stored status and `resource_version` guards its change.
    """

    namespace: str
    name: str
    body: dict[str, Any] | None = None
    before: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] | None = None
    resource_version: str = ""


@dataclass(frozen=True)
class Step:
    """The outcome of a tick.

    `status` is the complete new status (camelCase JSON of the API), or None when nothing is worth a write;
    `actions` is empty whenever `status` persists a new intent. `trial` is stored before the status: the trial is the
    truth, the policy only points to it. `requeue_seconds` is when to look again.
    """

    status: dict[str, Any] | None
    actions: tuple[Action, ...]
    events: tuple[Event, ...]
    requeue_seconds: float
    trial: TrialRecord | None = None
