"""What is known of this node's NodeTuning, kept while the API server is away; tells who cares when it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from trimtab_agent.engines.documents import entries_of
from trimtab_api.wire import entry_hash

Json = dict[str, Any]

CA_ANNOTATION = "trimtab.dev/ca"
"""Written by the operator: which certificate authority agents' certificates are signed with now."""


class KnownTuning:
    """The newest body of the node's NodeTuning; None when there is no such object."""

    def __init__(self) -> None:
        self.synced = False
        """Whether the API server was asked once: before, nobody can say that there is no entry."""
        self.body: Json | None = None
        self._hashes: Mapping[str, str] = {}
        self._listeners: list[Callable[[Set[str]], None]] = []

    def on_change(self, listener: Callable[[Set[str]], None]) -> None:
        """Have `listener` called at each new body, with the uids of exactly those pods whose entry changed."""
        self._listeners.append(listener)

    def replace(self, body: Json | None) -> None:
        """Take over what the API server has now."""
        hashes = {uid: entry_hash(entry) for uid, entry in entries_of(body).items()}
        before, self._hashes = self._hashes, hashes
        self.body, self.synced = body, True
        changed = {uid for uid in before.keys() | hashes.keys() if before.get(uid) != hashes.get(uid)}
        for listener in self._listeners:
            listener(changed)

    def entry_hash(self, pod_uid: str) -> str | None:
        """Return the name of a pod's entry, None when it has none."""
        return self._hashes.get(pod_uid)

    def version(self) -> str | None:
        """Return the resourceVersion of the body."""
        return None if self.body is None else self.body["metadata"].get("resourceVersion")

    def authority(self) -> str | None:
        """Return what the operator wrote about the certificate authority in force."""
        if self.body is None:
            return None
        found = (self.body["metadata"].get("annotations") or {}).get(CA_ANNOTATION)
        return found if isinstance(found, str) else None
