"""Inputs found in two worker deaths: refused for a while, known by hash only. Time comes in as an argument."""

from __future__ import annotations

from collections import OrderedDict

_MAX_KEYS = 1024
_SECONDS = 600.0  # two unlucky deaths must not refuse an input for ever


class PoisonInputs:
    """The latest of them."""

    def __init__(self) -> None:
        self._since: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._since)

    def add(self, key: bytes, now: float) -> None:
        """Refuse this input from now on."""
        self._since[key] = now
        while len(self._since) > _MAX_KEYS:
            self._since.popitem(last=False)

    def holds(self, key: bytes, now: float) -> bool:
        """Whether the input is refused now."""
        since = self._since.get(key)
        return since is not None and now - since < _SECONDS
