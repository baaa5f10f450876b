"""Pods as the API server shows them -> Pod. Quantities become cores, bytes and devices; times become unix seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from trimtab_api.wire import AUDIENCE
from trimtab_operator.kube.port import Json
from trimtab_operator.model.snapshot import Pod

GPU_RESOURCE: Final = "nvidia.com/gpu"
BANDWIDTH_ANNOTATIONS: Final = ("kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth")
BITS_IN_BYTE: Final = 8.0

_SUFFIXES: Final = {
    **{suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}


def quantity(text: str | int | float | None) -> float | None:
    """Return a Kubernetes quantity (`500m`, `2Gi`, `1e3`) in its base unit; None for absent or unreadable."""
    if text is None:
        return None
    number = str(text)
    for suffix, factor in _SUFFIXES.items():
        if number.endswith(suffix):
            number, scale = number.removesuffix(suffix), factor
            break
    else:
        scale = Decimal(1)
    try:
        return float(Decimal(number) * scale)
    except InvalidOperation:
        return None


def unix_seconds(text: str | None) -> float | None:
    """Return an RFC 3339 time as unix seconds."""
    return None if not text else datetime.fromisoformat(text).timestamp()


def owned_pods(deployment: str, pods: Iterable[Json]) -> tuple[Pod, ...]:
    """Pods that belong to this Deployment; an overlapping selector of another workload does not count."""
    return tuple(sorted((pod(body) for body in pods if _owned(deployment, body)), key=lambda each: each.name))


def pod(body: Json) -> Pod:
    """One pod."""
    metadata, spec, status = body["metadata"], body.get("spec") or {}, body.get("status") or {}
    conditions = {row["type"]: row for row in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    scheduled = conditions.get("PodScheduled", {})
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        node=spec.get("nodeName"),
        ready=ready.get("status") == "True",
        deleting=metadata.get("deletionTimestamp") is not None,
        created_at=unix_seconds(metadata.get("creationTimestamp")) or 0.0,
        ready_at=unix_seconds(ready.get("lastTransitionTime")) if ready.get("status") == "True" else None,
        started_at=_started_at(status),
        unschedulable_since=unix_seconds(scheduled.get("lastTransitionTime")) if unschedulable else None,
        unschedulable_message=str(scheduled.get("message", "")) if unschedulable else "",
        restarts=sum(int(row.get("restartCount", 0)) for row in status.get("containerStatuses") or ()),
        cpu_request_cores=_total(spec, "requests", "cpu"),
        cpu_limit_cores=_total(spec, "limits", "cpu"),
        memory_limit_bytes=_total(spec, "limits", "memory"),
        network_limit_bytes_per_second=_network_limit(metadata.get("annotations") or {}),
        gpus=round(sum(_amounts(spec, "limits", GPU_RESOURCE))),
        attachable=_has_token(spec),
    )


def _owned(deployment: str, body: Json) -> bool:
    """Tell by the owner: a ReplicaSet is named <deployment>-<hash of the template>, and the hash stands on the pod."""
    metadata = body["metadata"]
    template_hash = (metadata.get("labels") or {}).get("pod-template-hash")
    return any(
        owner.get("kind") == "ReplicaSet" and owner.get("name") == f"{deployment}-{template_hash}"
        for owner in metadata.get("ownerReferences") or ()
    )


def _started_at(status: dict[str, Any]) -> float | None:
    running = (((row.get("state") or {}).get("running") or {}) for row in status.get("containerStatuses") or ())
    return max((at for row in running if (at := unix_seconds(row.get("startedAt"))) is not None), default=None)


def _has_token(spec: dict[str, Any]) -> bool:
    """Tell whether the pod mounts a token for its node's agent."""
    sources = (
        source
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
    )
    return any((source.get("serviceAccountToken") or {}).get("audience") == AUDIENCE for source in sources)


def _network_limit(annotations: Mapping[str, str]) -> float | None:
    """Return the smaller of the declared bandwidths (bits per second); None where the pod declares none."""
    declared = (quantity(annotations.get(name)) for name in BANDWIDTH_ANNOTATIONS)
    return min((bits / BITS_IN_BYTE for bits in declared if bits), default=None)


def _amounts(spec: dict[str, Any], part: str, resource: str) -> list[float]:
    found = (
        quantity(((container.get("resources") or {}).get(part) or {}).get(resource))
        for container in spec.get("containers") or ()
    )
    return [amount for amount in found if amount is not None]


def _total(spec: dict[str, Any], part: str, resource: str) -> float | None:
    """Sum over the containers; None where one of them has none: the pod is then not bounded by it."""
    amounts = _amounts(spec, part, resource)
    containers = len(spec.get("containers") or ())
    return sum(amounts) if amounts and len(amounts) == containers else None
