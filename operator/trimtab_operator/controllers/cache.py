"""The policies that exist, as the watch and the periodic list tell. It says what to look at; a tick reads live."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trimtab_operator.kube.port import Json

PolicyKey = tuple[str, str]
"""(namespace, name)"""


def key_of(body: Json) -> PolicyKey:
    """Return the key of a stored policy."""
    return str(body["metadata"]["namespace"]), str(body["metadata"]["name"])


class PolicyCache:
    """Calls `changed` for a key that is new, different in spec or identity, or gone; status echoes change nothing."""

    def __init__(self, changed: Callable[[PolicyKey], None]) -> None:
        self._bodies: dict[PolicyKey, Json] = {}
        self._changed = changed
        self._listed = False

    def put(self, body: Json) -> bool:
        """Store what the watch, the list or a live read showed; True if something that matters differs."""
        key, body = key_of(body), _essence(body)
        before = self._bodies.get(key)
        self._bodies[key] = body
        if before is not None and _identity(before) == _identity(body):
            return False
        self._changed(key)
        return True

    def remove(self, key: PolicyKey, uid: str | None = None) -> None:
        """Forget a policy; with a uid only that very one, for the name may have been used again."""
        before = self._bodies.get(key)
        if before is None or (uid is not None and before["metadata"].get("uid") != uid):
            return
        del self._bodies[key]
        self._changed(key)

    def replace_all(self, bodies: Iterable[Json]) -> int:
        """Bring the cache to a full list; answers how many differences the watch had missed."""
        listed = {key_of(body): body for body in bodies}
        missed = sum(self.put(body) for body in listed.values())
        gone = self._bodies.keys() - listed.keys()
        for key in gone:
            self.remove(key)
        self._listed = True
        return missed + len(gone)

    def bodies(self) -> list[Json]:
        """Every policy: identity, age and target; not its status."""
        return list(self._bodies.values())

    def all_keys(self) -> tuple[PolicyKey, ...] | None:
        """Every policy's key; None before the first full list, when nobody can know."""
        return tuple(self._bodies) if self._listed else None

    def uid(self, key: PolicyKey) -> str | None:
        """Return the identity of the policy that bears this name now."""
        body = self._bodies.get(key)
        return None if body is None else str(body["metadata"].get("uid"))

    def __contains__(self, key: PolicyKey) -> bool:
        return key in self._bodies

    def namespaces(self) -> tuple[str, ...]:
        """Namespaces that hold a policy."""
        return tuple(sorted({namespace for namespace, _ in self._bodies}))


def _essence(body: Json) -> Json:
    """Keep what rivals and the queue need; the rest would only take memory."""
    metadata = body["metadata"]
    return {
        "metadata": {
            name: metadata.get(name) for name in ("namespace", "name", "uid", "generation", "creationTimestamp")
        },
        "spec": {"targetRef": (body.get("spec") or {}).get("targetRef")},
    }


def _identity(body: Json) -> tuple[object, object]:
    return body["metadata"].get("uid"), body["metadata"].get("generation")
