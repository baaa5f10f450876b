"""What every policy asks of every node, by its stored status: a projection in memory, rebuilt by the first ticks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trimtab_api.node_tuning import EngineEntry
from trimtab_operator.trial.node_spec import Ask

PolicyKey = tuple[str, str]
"""(namespace, name)"""


class TuningBoard:
    """Calls `changed` with the name of each node whose entries may have changed.

    `policies` answers which there are, None while that is not known.
    """

    def __init__(self, changed: Callable[[str], None], policies: Callable[[], Iterable[PolicyKey] | None]) -> None:
        self._changed = changed
        self._policies = policies
        self._asks: dict[PolicyKey, tuple[Ask, ...]] = {}
        self._tuning: set[PolicyKey] = set()

    def put(self, key: PolicyKey, asks: tuple[Ask, ...], *, tunes: bool) -> None:
        """Take what a policy asks for now; nodes that it asked before or asks now are looked at when it differs.

        `tunes` says that its engines will need settings, whether or not it asks for any yet.
        """
        (self._tuning.add if tunes else self._tuning.discard)(key)
        before = self._asks.get(key)
        self._asks[key] = asks
        if before != asks:
            for node in sorted({ask.node for ask in (*(before or ()), *asks)}):
                self._changed(node)

    def hear(self, key: PolicyKey) -> None:
        """Take note of a policy that asks for nothing new: its target is not there, or its spec cannot be read."""
        self._asks.setdefault(key, ())

    def forget(self, key: PolicyKey) -> None:
        """Forget a policy that is gone; its nodes are looked at."""
        self._tuning.discard(key)
        for node in sorted({ask.node for ask in self._asks.pop(key, ())}):
            self._changed(node)

    def asked(self, node: str) -> tuple[EngineEntry, ...]:
        """Return every entry that is asked for on a node."""
        return tuple(ask.entry for asks in self._asks.values() for ask in asks if ask.node == node)

    def namespaces(self) -> tuple[str, ...]:
        """Return the namespaces whose engines need settings, and so a certificate to trust."""
        return tuple(sorted({namespace for namespace, _ in self._tuning}))

    @property
    def complete(self) -> bool:
        """Whether every policy has been heard since the start: only then does silence about a pod mean anything."""
        policies = self._policies()
        return policies is not None and all(key in self._asks for key in policies)
