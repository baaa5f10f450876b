"""Replicas through the scale subresource: read live, verify the intent, write with that very resourceVersion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trimtab_operator.errors import KubeConflict
from trimtab_operator.kube.port import Kube
from trimtab_operator.model.action import Scale


@dataclass(frozen=True)
class ScaleOutcome:
    """`Done` also when another attempt of this intent already did it: twice is once."""

    result: Literal["Done", "AlreadyThere"]
    replicas: int


async def scale(kube: Kube, action: Scale, *, uid: str, expected_replicas: int) -> ScaleOutcome:
    """Set the replicas of the workload `uid` from `expected_replicas` to the action's number.

    Raises:
        KubeConflict: the workload was replaced, or somebody else changed it since the intent was written.
        KubeError: the API server refused or did not answer; the next tick looks again.
    """
    call = f"scale {action.kind} {action.namespace}/{action.name}"
    live = await kube.get_scale(action.namespace, action.name)
    live_uid, live_replicas = live["metadata"].get("uid"), int((live.get("spec") or {}).get("replicas") or 0)
    if live_uid != uid:
        raise KubeConflict(call, f"the object is not the one that the intent {action.intent_id} was written for")
    if live_replicas == action.replicas:
        return ScaleOutcome("AlreadyThere", live_replicas)
    if live_replicas != expected_replicas:
        raise KubeConflict(
            call, f"has {live_replicas} replicas, intent {action.intent_id} was written for {expected_replicas}"
        )
    await kube.patch_scale(action.namespace, action.name, action.replicas, live["metadata"]["resourceVersion"])
    return ScaleOutcome("Done", action.replicas)
