"""The response cache: answers by input hash inside a byte budget; which entry goes first is a policy of its own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from trimtab_engine.jobs import Answer

# Python's own cost of one entry beside the answer: key, bytes and tuple headers, two dictionary slots and the linked
# list node. tests/unit/engine/test_cache.py compares it with tracemalloc.
ENTRY_OVERHEAD_BYTES = 512

# About ten milliseconds of evicting: a large cache that is cut short must not hold up the requests meanwhile.
_SLICE_ENTRIES = 10_000


class EvictionPolicy(Protocol):
    """Decides which key leaves when the budget is short; sees every addition, hit and removal."""

    def added(self, key: bytes) -> None:
        """Note a new key."""
        ...

    def hit(self, key: bytes) -> None:
        """Note a use of a key."""
        ...

    def pop_victim(self) -> bytes:
        """Forget and return the key that should leave; called only while there is one."""
        ...


class LeastRecentlyUsed:
    """Evicts the key whose last use is longest ago."""

    def __init__(self) -> None:
        self._order: OrderedDict[bytes, None] = OrderedDict()

    def added(self, key: bytes) -> None:
        """Make the key the most recent one."""
        self._order[key] = None

    def hit(self, key: bytes) -> None:
        """Make the key the most recent one."""
        self._order.move_to_end(key)

    def pop_victim(self) -> bytes:
        """Forget and return the least recent key."""
        return self._order.popitem(last=False)[0]


class ResponseCache:
    """Answers by key inside a byte budget of `limit_bytes`; 0 turns it off.

    `size_bytes` is above the limit only while a lower one is being put in force, see `trim`.
    """

    def __init__(self, limit_bytes: int, policy: EvictionPolicy | None = None) -> None:
        self._entries: dict[bytes, Answer] = {}
        self._policy: EvictionPolicy = policy if policy is not None else LeastRecentlyUsed()
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.evictions = 0

    @property
    def enabled(self) -> bool:
        """Whether lookups make sense at all."""
        return self.limit_bytes > 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Answer | None:
        """Return the answer stored for the key, or None."""
        answer = self._entries.get(key)
        if answer is not None:
            self._policy.hit(key)
        return answer

    def put(self, key: bytes, answer: Answer) -> None:
        """Store an answer, evicting others as needed; one larger than the whole budget is not stored."""
        cost = entry_bytes(answer)
        if key in self._entries or max(cost, self.size_bytes) > self.limit_bytes:
            return
        self._shrink_to(self.limit_bytes - cost)
        self._entries[key] = answer
        self._policy.added(key)
        self.size_bytes += cost

    def set_limit(self, limit_bytes: int) -> bool:
        """Change the budget and evict one slice of what is beyond it. Returns whether there is more to `trim`."""
        self.limit_bytes = limit_bytes
        return self.trim()

    def trim(self) -> bool:
        """Evict one slice of what is beyond the budget. Returns whether there is more."""
        self._shrink_to(self.limit_bytes)
        return self.size_bytes > self.limit_bytes

    def _shrink_to(self, target_bytes: int) -> None:
        for _ in range(_SLICE_ENTRIES):
            if self.size_bytes <= target_bytes:
                return
            self.size_bytes -= entry_bytes(self._entries.pop(self._policy.pop_victim()))
            self.evictions += 1


def entry_bytes(answer: Answer) -> int:
    """Return what one entry is charged with."""
    return len(answer.data) + ENTRY_OVERHEAD_BYTES
