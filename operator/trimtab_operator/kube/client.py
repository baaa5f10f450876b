"""The port over the official asyncio client: its authentication and transport, our dicts, timeouts and errors."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from trimtab_operator.errors import (
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeInvalid,
    KubeNotFound,
    KubeUnavailable,
)
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.port import Json
from trimtab_operator.kube.resources import DEPLOYMENTS, EVENTS, FIELD_MANAGER, LEASES, Resource
from trimtab_operator.telemetry import Telemetry

MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"
PAGE_SIZE = 500
READ_TIMEOUT_SECONDS = 10.0

ERRORS_BY_STATUS: dict[int, type[KubeError]] = {
    400: KubeInvalid,
    401: KubeForbidden,
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    413: KubeInvalid,
    415: KubeInvalid,
    422: KubeInvalid,
}


@dataclass(frozen=True)
class _Call:
    """One HTTP call. `write` calls pass the gate; the Lease's own do not, they are what opens it."""

    verb: str
    resource: Resource
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Json | None = None
    content_type: str = JSON
    gated: bool = False

    @property
    def method(self) -> str:
        return {"get": "GET", "list": "GET", "create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}[
            self.verb
        ]

    @property
    def is_write(self) -> bool:
        return self.verb in {"create", "update", "patch", "delete"}

    def __str__(self) -> str:
        return f"{self.verb} {self.path}"


class KubeClient:
    """See `port.Kube`. Every call has a timeout of its own; nothing is retried here: the next tick does that."""

    def __init__(self, api: ApiClient, gate: WriteGate, telemetry: Telemetry, write_timeout_seconds: float) -> None:
        self._api = api
        self._gate = gate
        self._telemetry = telemetry
        self._write_timeout_seconds = write_timeout_seconds

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """One object, read live."""
        return await self._send(_Call("get", resource, resource.path(namespace, name)))

    async def list_all(self, resource: Resource, namespace: str | None, label_selector: str = "") -> list[Json]:
        """Every object that matches, page by page."""
        items: list[Json] = []
        query: dict[str, str] = {"limit": str(PAGE_SIZE)}
        if label_selector:
            query["labelSelector"] = label_selector
        while True:
            page = await self._send(_Call("list", resource, resource.path(namespace), tuple(query.items())))
            items.extend(page.get("items") or [])
            following = (page.get("metadata") or {}).get("continue")
            if not following:
                return items
            query["continue"] = following

    async def serves(self, resource: Resource) -> bool:
        """Tell whether the cluster serves this kind's group and version."""
        try:
            served = await self._send(_Call("get", resource, f"/apis/{resource.api_version}"))
        except KubeNotFound:
            return False
        return any(row.get("name") == resource.plural for row in served.get("resources") or [])

    async def create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        """Create an object; a name that is taken is a KubeConflict."""
        return await self._send(self._write("create", resource, resource.path(namespace), body))

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str | None = None
    ) -> Json:
        """Merge `patch` into the object; null removes a key; a stale resource_version is a KubeConflict."""
        metadata = dict(patch.get("metadata") or {})
        if resource_version is not None:
            metadata["resourceVersion"] = resource_version
        body = {**patch, **({"metadata": metadata} if metadata else {})}
        return await self._send(self._write("patch", resource, resource.path(namespace, name), body))

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Json, subresource: str | None = None
    ) -> Json:
        """Put the whole object, or one of its subresources; a stale metadata.resourceVersion is a KubeConflict."""
        return await self._send(self._write("update", resource, resource.path(namespace, name, subresource), body))

    async def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete an object; KubeNotFound when it is gone already."""
        path = resource.path(namespace, name)
        await self._send(_Call("delete", resource, path, gated=True))

    async def get_scale(self, namespace: str, name: str) -> Json:
        """Return the scale subresource of a Deployment."""
        return await self._send(_Call("get", DEPLOYMENTS, DEPLOYMENTS.path(namespace, name, "scale")))

    async def patch_scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> Json:
        """Set a Deployment's replicas; a stale resourceVersion is a KubeConflict."""
        body = {"metadata": {"resourceVersion": resource_version}, "spec": {"replicas": replicas}}
        path = DEPLOYMENTS.path(namespace, name, "scale")
        return await self._send(self._write("patch", DEPLOYMENTS, path, body))

    async def patch_status(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str
    ) -> Json:
        """Merge `patch` into the status; null removes a key; a stale resourceVersion is a KubeConflict."""
        body = {"metadata": {"resourceVersion": resource_version}, "status": patch}
        return await self._send(self._write("patch", resource, resource.path(namespace, name, "status"), body))

    async def create_event(self, namespace: str, body: Json) -> Json:
        """Create a core/v1 Event."""
        return await self._send(self._write("create", EVENTS, EVENTS.path(namespace), body))

    async def patch_event(self, namespace: str, name: str, patch: Json) -> Json:
        """Count a repeated Event."""
        return await self._send(self._write("patch", EVENTS, EVENTS.path(namespace, name), patch))

    async def get_lease(self, namespace: str, name: str) -> Json:
        """Return the Lease of the leader election."""
        return await self._send(_Call("get", LEASES, LEASES.path(namespace, name)))

    async def create_lease(self, namespace: str, body: Json) -> Json:
        """First holder; KubeConflict when another was faster."""
        return await self._send(_Call("create", LEASES, LEASES.path(namespace), body=body))

    async def replace_lease(self, namespace: str, name: str, body: Json) -> Json:
        """Take, renew or release; a stale metadata.resourceVersion is a KubeConflict."""
        return await self._send(_Call("update", LEASES, LEASES.path(namespace, name), body=body))

    @staticmethod
    def _write(verb: str, resource: Resource, path: str, body: Json) -> _Call:
        content_type = MERGE_PATCH if verb == "patch" else JSON
        return _Call(verb, resource, path, (("fieldManager", FIELD_MANAGER),), body, content_type, gated=True)

    async def _send(self, call: _Call) -> Json:
        try:
            answer = await self._attempt(call)
        except KubeError as error:
            self._count(call, type(error).__name__)
            raise
        self._count(call, "ok")
        return answer

    def _count(self, call: _Call, outcome: str) -> None:
        if call.is_write:
            kind = f"{call.resource.kind}{'/scale' if call.path.endswith('/scale') else ''}"
            self._telemetry.write(kind, call.verb, outcome)

    async def _attempt(self, call: _Call) -> Json:
        seconds = self._write_timeout_seconds if call.is_write else READ_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(seconds):
                request = await self._api.param_serialize(
                    call.method,
                    call.path,
                    query_params=list(call.query),
                    header_params={"Accept": JSON, "Content-Type": call.content_type},
                    body=call.body,
                    auth_settings=["BearerToken"],
                )
                if call.gated:
                    self._gate.check()
                response = await self._api.call_api(*request, _request_timeout=aiohttp.ClientTimeout(total=seconds))
                text = await response.read()  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = f"no answer within {seconds:g} s" if isinstance(error, TimeoutError) else str(error)
            raise KubeUnavailable(str(call), reason or type(error).__name__) from error
        return _decode(call, response.status, text)


def _decode(call: _Call, status: int, text: bytes) -> Json:
    try:
        body: Any = json.loads(text)
    except ValueError:
        body = None
    if 200 <= status < 300 and isinstance(body, dict):
        return body
    message = body.get("message") if isinstance(body, dict) else None
    error = ERRORS_BY_STATUS.get(status, KubeUnavailable)
    raise error(str(call), str(message or f"status {status}, {text[:200]!r}"), status)
