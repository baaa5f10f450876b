"""report(): what a step leaves: its trial, then the new status as one merge patch, then its Events."""

from __future__ import annotations

from typing import Any

from trimtab_operator.actuation.events import EventLedger
from trimtab_operator.actuation.fail_point import FailPoint
from trimtab_operator.errors import KubeConflict
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import POLICIES, TRIALS
from trimtab_operator.model.action import Step, TrialRecord


async def report(kube: Kube, events: EventLedger, fail_point: FailPoint, body: Json, step: Step) -> None:
    """Store the step's trial, bring the stored policy `body` to the step's status and publish its Events.

    The trial goes first: it is the truth, and what the policy says is derived from it again if the process dies here.
    Nothing is sent when the status does not differ. Events follow the status: a failed status write publishes none.

    Raises:
        KubeError, LeadershipLost: the status was not written; nothing may be acted upon.
    """
    if step.trial is not None:
        await _record(kube, step.trial)
        fail_point.reach("trial-stored")
    if step.status is not None:
        patch = merge_patch(body.get("status") or {}, step.status)
        if patch:
            metadata = body["metadata"]
            await kube.patch_status(
                POLICIES, metadata["namespace"], metadata["name"], patch, metadata["resourceVersion"]
            )
            fail_point.reach("status-stored")
    for event in step.events:
        await events.publish(body, event)


async def _record(kube: Kube, trial: TrialRecord) -> None:
    """Make the trial, or bring its status up to date; one that is there already was made by an earlier try."""
    if trial.body is not None:
        try:
            await kube.create(TRIALS, trial.namespace, trial.body)
        except KubeConflict:
            return
    if trial.status is not None:
        patch = merge_patch(trial.before, trial.status)
        if patch:
            await kube.patch_status(TRIALS, trial.namespace, trial.name, patch, trial.resource_version)


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
