"""An API server in memory, behind the operator's port, with the semantics that matter to us.

resourceVersion on every change (and none on a patch that changes nothing), 404, 409 and 422, the scale and status
subresources, generations, managedFields of replicas, paging-free lists with label selectors, Events, Leases. Faults are
asked for by verb and kind, before the call or after it took effect (a lost answer). The same conformance suite runs on
this and on a real API server (tests/contract/operator/test_kube_port.py and tests/unit/kube/test_fake.py).
"""

from __future__ import annotations

import copy
import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from trimtab_operator.errors import KubeConflict, KubeError, KubeInvalid, KubeNotFound
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    FIELD_MANAGER,
    LEASES,
    PODS,
    POLICIES,
    Resource,
)

Json = dict[str, Any]
Key = tuple[Resource, str | None, str]


@dataclass
class Fault:
    """The next `times` calls of this verb on this kind (`Deployment/scale` for the subresource) fail."""

    verb: str
    kind: str
    error: type[KubeError]
    times: int = 1
    after: bool = False


@dataclass
class FakeKube:
    gate: WriteGate | None = None
    served: set[Resource] = field(default_factory=set)
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    reads: list[tuple[str, str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    now: float = 1_700_000_000.0

    def __post_init__(self) -> None:
        self._objects: dict[Key, Json] = {}
        self._versions = itertools.count(1000)

    # What a person or another controller does

    def seed(self, resource: Resource, body: Json, *, manager: str = "kubectl", operation: str = "Apply") -> Json:
        """Create as another client would."""
        stored = copy.deepcopy(body)
        metadata = stored.setdefault("metadata", {})
        number = next(self._versions)
        metadata.setdefault("uid", f"uid-{number}")
        metadata.setdefault("creationTimestamp", stamp(self.now))
        metadata.update(resourceVersion=str(number), generation=1)
        if resource is DEPLOYMENTS:
            sent = "replicas" in stored["spec"]
            stored["spec"].setdefault("replicas", 1)
            stored.setdefault("status", {"observedGeneration": 1})
            owned = sent or operation == "Update"
            metadata.setdefault("managedFields", [owner_entry(manager, operation, replicas=owned)])
        key = (resource, metadata.get("namespace"), metadata["name"])
        assert key not in self._objects, key
        self._objects[key] = stored
        return copy.deepcopy(stored)

    def edit(self, resource: Resource, namespace: str | None, name: str, change: Json) -> None:
        """Merge a change as another client would; a changed spec is a new generation."""
        self._change(self._objects[resource, namespace, name], change)

    def vanish(self, resource: Resource, namespace: str | None, name: str) -> None:
        """Delete as another client would."""
        del self._objects[resource, namespace, name]

    def stored(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """The object, without a call being counted."""
        return copy.deepcopy(self._objects[resource, namespace, name])

    def all(self, resource: Resource) -> list[Json]:
        return [copy.deepcopy(body) for (kind, _, _), body in self._objects.items() if kind == resource]

    def uid(self, resource: Resource, name: str) -> str:
        """Of the object of this name, wherever it is."""
        return str(
            next(
                body["metadata"]["uid"] for (kind, _, called), body in self._objects.items()
                if kind is resource and called == name
            )
        )  # fmt: skip

    def names(self, resource: Resource) -> list[tuple[str, str]]:
        return [(str(namespace), name) for kind, namespace, name in self._objects if kind is resource]

    def _volumes(self, deployment: Json) -> Json:
        """A pod mounts what its template mounts."""
        volumes = deployment["spec"]["template"]["spec"].get("volumes")
        return {"volumes": copy.deepcopy(volumes)} if volumes else {}

    def placed_pods(self) -> list[tuple[str, str]]:
        """The pods that are on a node."""
        return [
            (str(namespace), name)
            for (kind, namespace, name), body in self._objects.items()
            if kind is PODS and "nodeName" in body["spec"]
        ]

    def settle(
        self, namespace: str, name: str, *, ready: bool = True, node: str | None = "node", room: int | None = None
    ) -> None:
        """The Deployment's controllers at work: pods as replicas say, each ready at once.

        Where `room` says how many find a node, the others wait until one is free.
        """
        deployment = self._objects[DEPLOYMENTS, namespace, name]
        wanted = deployment["spec"]["replicas"]
        mine = sorted(key for key in self._objects if key[0] is PODS and key[2].startswith(f"{name}-b5c5-"))
        for key in mine[wanted:]:
            del self._objects[key]
        for _ in range(wanted - len(mine)):
            number = next(self._versions)
            suffix = "".join("bcdfghjklm"[int(digit)] for digit in f"{number % 100_000:05d}")
            at_once = node if room is None else None
            made = pod(namespace, name, f"{name}-b5c5-{suffix}", self.now, ready=ready and bool(at_once), node=at_once)
            made["spec"].update(self._volumes(deployment))
            self.seed(PODS, made)
        if room is not None:
            self._place(namespace, name, room)
        generation = deployment["metadata"]["generation"]
        status = {"observedGeneration": generation, "replicas": wanted, "updatedReplicas": wanted}
        if deployment.get("status") != status:
            deployment["status"] = status
            self._touch(deployment)

    def _place(self, namespace: str, name: str, room: int) -> None:
        """The scheduler at work: who waits longest is placed, and ready, while there is room."""
        mine = sorted(key for key in self._objects if key[0] is PODS and key[2].startswith(f"{name}-b5c5-"))
        waiting = [key for key in mine if "nodeName" not in self._objects[key]["spec"]]
        for key in waiting[: max(0, room - len(mine) + len(waiting))]:
            status = pod(namespace, name, key[2], self.now)["status"]
            self._change(self._objects[key], {"spec": {"nodeName": "node"}, "status": status})

    def fail(self, verb: str, kind: str, error: type[KubeError], times: int = 1, *, after: bool = False) -> None:
        self.faults.append(Fault(verb, kind, error, times, after))

    # The port

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        self._before("get", resource.kind, namespace, name)
        return copy.deepcopy(self._find(resource, namespace, name))

    async def list_all(self, resource: Resource, namespace: str | None, label_selector: str = "") -> list[Json]:
        self._before("list", resource.kind, namespace, "")
        return [
            copy.deepcopy(body)
            for (kind, where, _), body in self._objects.items()
            if kind is resource and namespace in {None, where} and selects(label_selector, body)
        ]

    async def serves(self, resource: Resource) -> bool:
        self._before("get", "APIGroup", None, resource.api_version)
        return resource in self.served

    async def create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        fault = self._before_write("create", resource.kind, namespace, body["metadata"]["name"])
        stored = self._create(resource, namespace, body)
        self._after(fault)
        return stored

    async def patch(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str | None = None
    ) -> Json:
        fault = self._before_write("patch", resource.kind, namespace, name)
        body = self._find(resource, namespace, name)
        if resource_version is not None:
            self._same_version("patch", body, resource_version)
        self._change(body, patch)
        self._after(fault)
        return copy.deepcopy(body)

    async def replace(
        self, resource: Resource, namespace: str | None, name: str, body: Json, subresource: str | None = None
    ) -> Json:
        kind = f"{resource.kind}/{subresource}" if subresource else resource.kind
        fault = self._before_write("update", kind, namespace, name)
        stored = self._find(resource, namespace, name)
        self._same_version("update", stored, body["metadata"]["resourceVersion"])
        before = copy.deepcopy(stored)
        for part in ("status",) if subresource else ("spec", "data"):
            if part in body:
                stored[part] = copy.deepcopy(body[part])
        if stored != before:
            self._touch(stored)
        self._after(fault)
        return copy.deepcopy(stored)

    async def delete(self, resource: Resource, namespace: str | None, name: str) -> None:
        fault = self._before_write("delete", resource.kind, namespace, name)
        self._find(resource, namespace, name)
        del self._objects[resource, namespace, name]
        self._after(fault)

    async def get_scale(self, namespace: str, name: str) -> Json:
        self._before("get", "Deployment/scale", namespace, name)
        return scale_of(self._find(DEPLOYMENTS, namespace, name))

    async def patch_scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> Json:
        fault = self._before_write("patch", "Deployment/scale", namespace, name)
        body = self._find(DEPLOYMENTS, namespace, name)
        self._same_version("patch scale", body, resource_version)
        if replicas < 0:
            raise KubeInvalid("patch scale", f"spec.replicas: Invalid value: {replicas}", 422)
        if body["spec"]["replicas"] != replicas:
            body["spec"]["replicas"] = replicas
            body["metadata"]["generation"] += 1
            take_replicas(body["metadata"]["managedFields"], FIELD_MANAGER)
            self._touch(body)
        self._after(fault)
        return scale_of(body)

    async def patch_status(
        self, resource: Resource, namespace: str | None, name: str, patch: Json, resource_version: str
    ) -> Json:
        fault = self._before_write("patch", resource.kind, namespace, name)
        body = self._find(resource, namespace, name)
        self._same_version("patch status", body, resource_version)
        before = copy.deepcopy(body)
        merge(body, {"status": patch})
        if body != before:
            self._touch(body)
        self._after(fault)
        return copy.deepcopy(body)

    async def create_event(self, namespace: str, body: Json) -> Json:
        fault = self._before_write("create", "Event", namespace, body["metadata"]["name"])
        stored = self._create(EVENTS, namespace, body)
        self._after(fault)
        return stored

    async def patch_event(self, namespace: str, name: str, patch: Json) -> Json:
        fault = self._before_write("patch", "Event", namespace, name)
        body = self._find(EVENTS, namespace, name)
        merge(body, patch)
        self._touch(body)
        self._after(fault)
        return copy.deepcopy(body)

    async def get_lease(self, namespace: str, name: str) -> Json:
        self._before("get", "Lease", namespace, name)
        return copy.deepcopy(self._find(LEASES, namespace, name))

    async def create_lease(self, namespace: str, body: Json) -> Json:
        fault = self._before("create", "Lease", namespace, body["metadata"]["name"])
        stored = self._create(LEASES, namespace, body)
        self._after(fault)
        return stored

    async def replace_lease(self, namespace: str, name: str, body: Json) -> Json:
        fault = self._before("update", "Lease", namespace, name)
        stored = self._find(LEASES, namespace, name)
        self._same_version("update lease", stored, body["metadata"]["resourceVersion"])
        stored["spec"] = copy.deepcopy(body["spec"])
        self._touch(stored)
        self._after(fault)
        return copy.deepcopy(stored)

    # Inside

    def _create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        if (resource, namespace, body["metadata"]["name"]) in self._objects:
            raise KubeConflict("create", f'"{body["metadata"]["name"]}" already exists', 409)
        place = {} if namespace is None else {"namespace": namespace}
        return self.seed(resource, {**body, "metadata": {**body["metadata"], **place}})

    def _find(self, resource: Resource, namespace: str | None, name: str) -> Json:
        try:
            return self._objects[resource, namespace, name]
        except KeyError:
            raise KubeNotFound(f"{resource.plural} {name}", f'{resource.plural} "{name}" not found', 404) from None

    def _same_version(self, call: str, body: Json, resource_version: str) -> None:
        if body["metadata"]["resourceVersion"] != resource_version:
            raise KubeConflict(call, "the object has been modified", 409)

    def _change(self, body: Json, change: Json) -> None:
        before = copy.deepcopy(body)
        merge(body, change)
        if body.get("spec") != before.get("spec"):
            body["metadata"]["generation"] += 1
        if body != before:
            self._touch(body)

    def _touch(self, body: Json) -> None:
        body["metadata"]["resourceVersion"] = str(next(self._versions))

    def _before_write(self, verb: str, kind: str, namespace: str | None, name: str) -> Fault | None:
        if self.gate is not None:
            self.gate.check()
        fault = self._before(verb, kind, namespace, name)
        self.writes.append((verb, kind, f"{namespace}/{name}"))
        return fault

    def _before(self, verb: str, kind: str, namespace: str | None, name: str) -> Fault | None:
        if verb in {"get", "list"}:
            self.reads.append((verb, kind, f"{namespace}/{name}"))
        for fault in self.faults:
            if fault.times > 0 and (fault.verb, fault.kind) == (verb, kind):
                fault.times -= 1
                if not fault.after:
                    raise fault.error(f"{verb} {kind}", "injected")
                return fault
        return None

    @staticmethod
    def _after(fault: Fault | None) -> None:
        if fault is not None:
            raise fault.error(f"{fault.verb} {fault.kind}", "injected after the write")


def stamp(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(into: Json, patch: Json) -> None:
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


def scale_of(deployment: Json) -> Json:
    metadata = deployment["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "uid", "resourceVersion")}
    return {"kind": "Scale", "metadata": kept, "spec": {"replicas": deployment["spec"]["replicas"]}}


def owner_entry(manager: str, operation: str, *, replicas: bool, subresource: str | None = None) -> Json:
    fields: Json = {"f:spec": {"f:template": {}, **({"f:replicas": {}} if replicas else {})}}
    entry: Json = {"manager": manager, "operation": operation, "fieldsV1": fields}
    return entry if subresource is None else {**entry, "subresource": subresource}


def take_replicas(entries: list[Json], manager: str) -> None:
    """As the real one: a changed value moves to the writer; what nobody owned stays without an owner."""
    owners = [entry for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})]
    for entry in owners:
        del entry["fieldsV1"]["f:spec"]["f:replicas"]
    if owners:
        entries.append(owner_entry(manager, "Update", replicas=True, subresource="scale"))


def selects(selector: str, body: Json) -> bool:
    labels = body["metadata"].get("labels") or {}
    return all(_term(term.strip(), labels) for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _term(term: str, labels: dict[str, str]) -> bool:
    if match := re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", term):
        key, how, values = match.groups()
        return (labels.get(key) in values.split(",")) == (how == "in")
    if term.startswith("!"):
        return term[1:] not in labels
    key, equals, value = term.partition("=")
    return labels.get(key) == value if equals else key in labels


# Bodies


def deployment(
    namespace: str,
    name: str,
    *,
    replicas: int | None = 1,
    image: str = "registry/trimtab/engine:1",
    attached: bool = False,
) -> Json:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}}
    spec: Json = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"spec": {"containers": [{"name": "server", "image": image, "resources": resources}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    if attached:
        spec["template"]["spec"]["volumes"] = [TOKEN_VOLUME]
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


TOKEN_VOLUME: Json = {
    "name": "trimtab",
    "projected": {"sources": [{"serviceAccountToken": {"audience": "trimtab-agent", "path": "token"}}]},
}


def pod(namespace: str, app: str, name: str, now: float, *, ready: bool = True, node: str | None = "node") -> Json:
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp(now)}]
    if node is None:
        conditions.append(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
                "lastTransitionTime": stamp(now),
            }
        )
    limits = {"cpu": "1", "memory": "1Gi"}
    return {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "creationTimestamp": stamp(now),
            "labels": {"app": app, "pod-template-hash": "b5c5"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": f"{app}-b5c5"}],
        },
        "spec": {
            **({"nodeName": node} if node else {}),
            "containers": [{"name": "server", "resources": {"limits": limits, "requests": limits}}],
        },
        "status": {"phase": "Running", "conditions": conditions},
    }


def policy(namespace: str, name: str, target: str, **spec: Any) -> Json:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "apiVersion": POLICIES.api_version,
        "kind": POLICIES.kind,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"targetRef": reference, **spec},
    }


def mode_configmap(namespace: str, mode: str) -> Json:
    return {"metadata": {"namespace": namespace, "name": "trimtab-mode"}, "data": {"maxMode": mode}}


__all__ = ["CONFIG_MAPS", "FakeKube", "deployment", "mode_configmap", "pod", "policy"]
