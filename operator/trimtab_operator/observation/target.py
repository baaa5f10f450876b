"""The workload as it is now, read live: its Deployment, its pods, and who else writes its replicas."""

from __future__ import annotations

import asyncio
import hashlib
import json

from trimtab_api.policy_spec import TargetRef
from trimtab_operator.errors import KubeForbidden, KubeNotFound
from trimtab_operator.kube.port import Json, Kube
from trimtab_operator.kube.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, PODS, SCALED_OBJECTS
from trimtab_operator.model.snapshot import Pod, ReplicasOwner, Target, TargetProblem
from trimtab_operator.observation.owners import autoscaler_owners, manifest_owners, scale_owners
from trimtab_operator.observation.pods import owned_pods
from trimtab_operator.observation.slots import SlotCache, slot_time
from trimtab_operator.runtimes.select import UNKNOWN, detect_runtime

SERVED_SLOT_SECONDS = 300.0  # a newly installed KEDA is noticed within five minutes


class TargetReader:
    """Reads targets; lists of a whole namespace are shared by the policies of a time slot."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._slots = SlotCache()
        self._served = SlotCache()

    async def read(
        self, namespace: str, ref: TargetRef, now: float, *, scaled_at: float | None
    ) -> Target | TargetProblem:
        """Return the target, or why there is none.

        Raises:
            KubeUnavailable: the API server did not answer; nothing is known.
        """
        what = f"Deployment {namespace}/{ref.name}"
        try:
            deployment = await self._kube.get(DEPLOYMENTS, namespace, ref.name)
            if deployment["metadata"].get("deletionTimestamp"):
                return TargetProblem("NotFound", f"{what} is being deleted")
            pods, horizontal, scaled = await asyncio.gather(
                self._kube.list_all(PODS, namespace, label_selector(deployment["spec"].get("selector") or {})),
                self._listed(namespace, now),
                self._scaled_objects(namespace, now),
            )
        except KubeNotFound:
            return TargetProblem("NotFound", f"{what} does not exist: create it, or delete this policy")
        except KubeForbidden as error:
            return TargetProblem("Forbidden", f"the operator may not read {what}: {error.message}")
        owners = (
            autoscaler_owners(ref.name, horizontal, scaled)
            + manifest_owners(deployment, scaled_at=scaled_at)
            + scale_owners(deployment)
        )
        return _target(deployment, ref, owned_pods(ref.name, pods), owners)

    async def _listed(self, namespace: str, now: float) -> list[Json]:
        resource = HORIZONTAL_POD_AUTOSCALERS
        return await self._slots.get(
            slot_time(now), (resource, namespace), lambda: self._kube.list_all(resource, namespace)
        )

    async def _scaled_objects(self, namespace: str, now: float) -> list[Json]:
        resource = SCALED_OBJECTS
        served_slot = now // SERVED_SLOT_SECONDS
        if not await self._served.get(served_slot, resource, lambda: self._kube.serves(resource)):
            return []
        return await self._slots.get(
            slot_time(now), (resource, namespace), lambda: self._kube.list_all(resource, namespace)
        )


def _target(
    deployment: Json, ref: TargetRef, pods: tuple[Pod, ...], owners: tuple[ReplicasOwner, ...]
) -> Target | TargetProblem:
    container = choose_container(deployment, ref.container)
    if isinstance(container, TargetProblem):
        return container
    metadata = deployment["metadata"]
    return Target(
        kind=ref.kind.value,
        namespace=metadata["namespace"],
        name=ref.name,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=int(metadata.get("generation", 0)),
        replicas=int(deployment["spec"].get("replicas", 1)),
        container=str(container["name"]),
        runtime=detect_runtime(container),
        template_hash=template_hash(deployment),
        rolling_out=is_rolling_out(deployment),
        pods=pods,
        replicas_owners=owners,
    )


def choose_container(deployment: Json, wanted: str | None) -> Json | TargetProblem:
    """Return the serving container: named by the policy, else the only one, else the only one of a known runtime."""
    containers: list[Json] = deployment["spec"]["template"]["spec"].get("containers") or []
    names = ", ".join(str(container["name"]) for container in containers)
    if wanted is not None:
        for container in containers:
            if container["name"] == wanted:
                return container
        return TargetProblem(
            "ContainerNotFound", f"targetRef.container {wanted!r} is not in the pod template; it has {names}"
        )
    if len(containers) == 1:
        return containers[0]
    known = [container for container in containers if detect_runtime(container) != UNKNOWN]
    if len(known) == 1:
        return known[0]
    return TargetProblem("AmbiguousContainer", f"set targetRef.container to the serving one of {names}")


def template_hash(deployment: Json) -> str:
    """Return a hash that changes with any change of the pod template."""
    text = json.dumps(deployment["spec"]["template"], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_rolling_out(deployment: Json) -> bool:
    """Pods of an older template still run, or the controller has not yet seen the newest spec."""
    status = deployment.get("status") or {}
    unseen = int(status.get("observedGeneration", 0)) < int(deployment["metadata"].get("generation", 0))
    return unseen or int(status.get("updatedReplicas", 0)) < int(status.get("replicas", 0))


def label_selector(selector: Json) -> str:
    """Return a LabelSelector as the query parameter of a list call."""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for row in selector.get("matchExpressions") or ():
        key, values = row["key"], ",".join(row.get("values") or ())
        parts.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": str(key),
                "DoesNotExist": f"!{key}",
            }[row["operator"]]
        )
    return ",".join(parts)
