"""report(): the new status as one merge patch guarded by resourceVersion, then the Events of the step."""

from __future__ import annotations

from typing import Any

from trimtab_operator.actuation.events import EventLedger
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import POLICIES
from trimtab_operator.model.action import Step


async def report(kube: Kube, events: EventLedger, body: Json, step: Step) -> None:
    """Bring the stored policy `body` to the step's status and publish its Events.

    Nothing is sent when the status does not differ. Events follow the status: a failed status write publishes none.

    Raises:
        KubeError, LeadershipLost: the status was not written; nothing may be acted upon.
    """
    if step.status is not None:
        patch = merge_patch(body.get("status") or {}, step.status)
        if patch:
            metadata = body["metadata"]
            await kube.patch_status(
                POLICIES, metadata["namespace"], metadata["name"], patch, metadata["resourceVersion"]
            )
    for event in step.events:
        await events.publish(body, event)


def merge_patch(old: Json, new: Json) -> Json:
    """Return the JSON merge patch (RFC 7386) from `old` to `new`; empty when they are equal. None counts as absent."""
    return _difference(old, _without_nulls(new))


def _difference(old: Json, new: Json) -> Json:
    patch: Json = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            nested = _difference(before, value)
            if nested:
                patch[key] = nested
        elif value != before:
            patch[key] = value
    return patch


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_without_nulls(part) for part in value]
    return value
