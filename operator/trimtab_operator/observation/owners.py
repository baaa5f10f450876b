"""Who else writes a Deployment's replica count: a manifest that carries it, an HPA, a ScaledObject, another scaler.

A manifest: a manager that *applies* spec.replicas resets our number (or fails) at its next apply. managedFields alone
do not tell: the API server books a defaulted `replicas: 1` on whoever created the object by an ordinary (not
server-side) write. So:

* Apply with f:replicas                         they sent it
* kubectl's client-side apply                   its last-applied annotation says whether they sent it
* another ordinary writer (Helm 3, Argo CD)     they sent it if the number is not the default, or if we had scaled
                                                this object before (then they took the field back)
* `kubectl create|edit|patch|scale` by a person is one edit, not a manifest
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from trimtab_operator.kube.port import Json
from trimtab_operator.kube.resources import FIELD_MANAGER
from trimtab_operator.model.snapshot import ReplicasOwner
from trimtab_operator.observation.pods import unix_seconds

CLIENT_SIDE_APPLY: Final = "kubectl-client-side-apply"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
DEFAULT_REPLICAS: Final = 1
ONE_EDIT: Final = ("kubectl-", "kubectl")  # kubectl-edit, kubectl-patch, kubectl-create, kubectl scale: "kubectl"
CLUSTER: Final = frozenset({"kube-controller-manager", "horizontal-pod-autoscaler"})


def manifest_owners(deployment: Json, *, scaled_at: float | None) -> tuple[ReplicasOwner, ...]:
    """Return managers whose manifest carries spec.replicas; `scaled_at`: when we last scaled, unix seconds."""
    created = unix_seconds((deployment.get("metadata") or {}).get("creationTimestamp")) or 0.0
    scaled_before = scaled_at is not None and scaled_at >= created
    replicas = (deployment.get("spec") or {}).get("replicas", DEFAULT_REPLICAS)
    names: dict[str, None] = {}
    if _last_applied_has_replicas(deployment):
        names[CLIENT_SIDE_APPLY] = None
    for entry in (deployment.get("metadata") or {}).get("managedFields") or ():
        manager = str(entry.get("manager", ""))
        if manager == FIELD_MANAGER or entry.get("subresource") or not _owns_replicas(entry):
            continue
        if entry.get("operation") == "Apply" or _took_it(manager, scaled_before or replicas != DEFAULT_REPLICAS):
            names[manager] = None
    return tuple(ReplicasOwner("Manifest", name) for name in names)


def scale_owners(deployment: Json) -> tuple[ReplicasOwner, ...]:
    """Return programs that wrote replicas by the scale subresource: not ours, a person's kubectl, or the cluster's."""
    return tuple(
        ReplicasOwner("Scale", str(entry.get("manager")))
        for entry in (deployment.get("metadata") or {}).get("managedFields") or ()
        if entry.get("subresource") == "scale"
        and _owns_replicas(entry)
        and entry.get("manager") not in CLUSTER | {FIELD_MANAGER}
        and not str(entry.get("manager")).startswith(ONE_EDIT)
    )


def autoscaler_owners(
    name: str, horizontal_pod_autoscalers: Iterable[Json], scaled_objects: Iterable[Json]
) -> tuple[ReplicasOwner, ...]:
    """Autoscalers on the Deployment `name` of their namespace; a ScaledObject stands before the HPA that it made."""
    found = [ReplicasOwner("ScaledObject", _name(body)) for body in scaled_objects if _aims_at(body, name)]
    found += [
        ReplicasOwner("HorizontalPodAutoscaler", _name(body))
        for body in horizontal_pod_autoscalers
        if _aims_at(body, name)
    ]
    return tuple(found)


def _aims_at(body: Json, name: str) -> bool:
    reference = (body.get("spec") or {}).get("scaleTargetRef") or {}
    return reference.get("name") == name and reference.get("kind", "Deployment") == "Deployment"


def _name(body: Json) -> str:
    return str(body["metadata"]["name"])


def _owns_replicas(entry: Json) -> bool:
    return "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _took_it(manager: str, sent: bool) -> bool:
    return sent and manager not in CLUSTER and not manager.startswith(ONE_EDIT)


def _last_applied_has_replicas(deployment: Json) -> bool:
    text = ((deployment.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return False
    try:
        applied: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(applied, dict) and "replicas" in (applied.get("spec") or {})
