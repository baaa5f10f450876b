"""Two policies on one target: the older acts, the younger knows by whom the target is taken."""

from __future__ import annotations

from collections.abc import Iterable

from trimtab_operator.kube.port import Json


def older_policy(policy: Json, others: Iterable[Json]) -> str | None:
    """namespace/name of the oldest other policy on the same target that is older than `policy`; ties by name."""
    mine = _target(policy)
    older = [other for other in others if _target(other) == mine and _age_key(other) < _age_key(policy)]
    if not older:
        return None
    metadata = min(older, key=_age_key)["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"


def _target(policy: Json) -> tuple[str, str, str]:
    ref = (policy.get("spec") or {}).get("targetRef") or {}
    return str(policy["metadata"].get("namespace")), str(ref.get("kind")), str(ref.get("name"))


def _age_key(policy: Json) -> tuple[str, str, str]:
    metadata = policy["metadata"]
    return str(metadata.get("creationTimestamp")), str(metadata.get("name")), str(metadata.get("uid"))
