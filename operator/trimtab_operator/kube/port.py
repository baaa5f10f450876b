"""The port itself: what the rest of the operator may ask of a cluster. client.py implements it, and a fake in tests."""

from __future__ import annotations

from typing import Any, Protocol

from trimtab_operator.kube.resources import Resource

Json = dict[str, Any]


class Kube(Protocol):
    """Reads and writes on plain dicts.

    Raises of every method: KubeUnavailable, KubeNotFound, KubeConflict, KubeForbidden, KubeInvalid. Writes except
    those of the Lease also raise LeadershipLost, checked immediately before the request is sent.
    """

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """One object, read live."""
        ...

    async def list_all(self, resource: Resource, namespace: str | None, label_selector: str = "") -> list[Json]:
        """Every object that matches, page by page."""
        ...

    async def serves(self, resource: Resource) -> bool:
        """Tell whether the cluster serves this kind's group and version."""
        ...

    async def create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        """Create an object; a name that is taken is a KubeConflict."""
        ...

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str | None = None
    ) -> Json:
        """Merge `patch` into the object; null removes a key, a list replaces a list.

        With a resource_version a stale one is a KubeConflict.
        """
        ...

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Json, subresource: str | None = None
    ) -> Json:
        """Put the whole object, or one of its subresources; a stale metadata.resourceVersion is a KubeConflict."""
        ...

    async def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object; KubeNotFound when it is gone already."""
        ...

    async def get_scale(self, namespace: str, name: str) -> Json:
        """Return the scale subresource of a Deployment (autoscaling/v1 Scale)."""
        ...

    async def patch_scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> Json:
        """Set a Deployment's replicas; a stale resourceVersion is a KubeConflict."""
        ...

    async def patch_status(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str
    ) -> Json:
        """Merge `patch` into the status; null removes a key; a stale resourceVersion is a KubeConflict."""
        ...

    async def create_event(self, namespace: str, body: Json) -> Json:
        """Create a core/v1 Event."""
        ...

    async def patch_event(self, namespace: str, name: str, patch: Json) -> Json:
        """Count a repeated Event."""
        ...

    async def get_lease(self, namespace: str, name: str) -> Json:
        """Return the Lease of the leader election."""
        ...

    async def create_lease(self, namespace: str, body: Json) -> Json:
        """First holder; KubeConflict when another was faster."""
        ...

    async def replace_lease(self, namespace: str, name: str, body: Json) -> Json:
        """Take, renew or release; a stale metadata.resourceVersion is a KubeConflict."""
        ...
