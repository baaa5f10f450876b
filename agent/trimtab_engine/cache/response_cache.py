"""Answers by key inside a byte budget, with an age limit; which entry goes first is a rule that may change live."""

from __future__ import annotations

import math
from collections import Counter

from trimtab_engine.cache.choice import CANDIDATES, FIXED, RuleChoice
from trimtab_engine.cache.eviction import EvictionRule, Node, TwoQueues
from trimtab_engine.cache.ghosts import GhostCaches
from trimtab_engine.jobs import MAX_PRIORITY, Answer

# Python's own cost of one entry beside the answer's bytes: key, bytes and tuple headers, the node, slots of three
# dictionaries and what is remembered of keys that left. tests/unit/engine/test_cache.py compares it with tracemalloc.
ENTRY_OVERHEAD_BYTES = 640

# About ten milliseconds of evicting: a large cache that is cut short must not hold up the requests meanwhile.
_SLICE_ENTRIES = 10_000
_SMOOTHING = 0.05
_RESIZED = 1.5  # the ghosts start anew when the cache holds this much more or less than they were made for


class _Entry(Node[bytes]):
    __slots__ = ("answer", "expires_at", "priority")

    def __init__(self, answer: Answer, cost: int, passes: int, expires_at: float, priority: int) -> None:
        super().__init__(cost, passes)
        self.answer = answer
        self.expires_at = expires_at
        self.priority = priority


class ResponseCache:
    """Answers by key inside a byte budget of `limit_bytes`; 0 turns it off.

    `lifetime_seconds` 0 = an entry does not age. `size_bytes` is above the limit only while a lower one is being put
    in force, see `trim`. `removals` counts entries that left, by reason: room, age.
    """

    def __init__(self, limit_bytes: int, lifetime_seconds: float = 0.0) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._choice = RuleChoice()
        self._fixed: EvictionRule | None = None
        self._queues: TwoQueues[bytes] = TwoQueues(limit_bytes, self._choice.rule)
        self._ghosts: GhostCaches | None = None
        self._entry_bytes = 0.0
        self._held_of_priority = [0] * (MAX_PRIORITY + 1)
        self._lifetime_seconds = lifetime_seconds
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.removals: Counter[str] = Counter()

    @property
    def enabled(self) -> bool:
        """Whether lookups make sense at all."""
        return self.limit_bytes > 0

    @property
    def rule(self) -> EvictionRule:
        """What decides now which entry leaves."""
        return self._queues.rule

    @property
    def ghost_hit_ratios(self) -> dict[str, float]:
        """What each rule would hit of the lookups, by its name; empty before the first window of the sample."""
        ratios = self._ghosts.hit_ratios if self._ghosts is not None else []
        return {rule.name: ratio for rule, ratio in zip(CANDIDATES, ratios, strict=False)}

    def __len__(self) -> int:
        return len(self._entries)

    def see(self, fingerprint: int) -> None:
        """Note a lookup by a 64-bit hash of its input, for the ghost caches that the rule is chosen by."""
        if self._ghosts is not None and self._ghosts.see(fingerprint):
            rule = self._choice.judge(self._ghosts.hit_ratios)
            self._resize_ghosts()
            if self._fixed is None and rule is not self._queues.rule:
                self._queues.use(rule)

    def get(self, key: bytes, now: float = 0.0) -> Answer | None:
        """Return the answer stored for the key, or None; `now` in monotonic seconds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires_at <= now:
            self._queues.remove(key, entry)
            self._forget(key, "age")
            return None
        self._queues.hit(key, entry)
        return entry.answer

    def put(self, key: bytes, answer: Answer, now: float = 0.0, priority: int = 0) -> None:
        """Store an answer, evicting others as needed; one larger than the whole budget is not stored.

        What a request asked for while entries of less urgent ones (larger `priority`, 0 to 9) are held is passed over
        once when it is its turn to leave.
        """
        cost = entry_bytes(answer)
        if key in self._entries or max(cost, self.size_bytes) > self.limit_bytes:
            return
        self._shrink_to(self.limit_bytes - cost)
        expires_at = now + self._lifetime_seconds if self._lifetime_seconds else math.inf
        passes = int(any(self._held_of_priority[priority + 1 :]))
        entry = self._entries[key] = _Entry(answer, cost, passes, expires_at, priority)
        self._held_of_priority[priority] += 1
        self._queues.add(key, entry)
        self.size_bytes += cost
        self._entry_bytes += (cost - self._entry_bytes) * (_SMOOTHING if self._entry_bytes else 1.0)
        if self._ghosts is None:
            self._ghosts = GhostCaches(CANDIDATES, self._capacity())

    def set_limit(self, limit_bytes: int) -> bool:
        """Change the budget and evict one slice of what is beyond it. Returns whether there is more to `trim`."""
        self.limit_bytes = self._queues.limit = limit_bytes
        return self.trim()

    def set_eviction(self, eviction: str) -> None:
        """Follow Auto, LRU or S3FIFO from now on; every entry stays."""
        self._fixed = FIXED.get(eviction)
        rule = self._choice.rule if self._fixed is None else self._fixed
        if rule is not self._queues.rule:
            self._queues.use(rule)

    def trim(self) -> bool:
        """Evict one slice of what is beyond the budget. Returns whether there is more."""
        self._shrink_to(self.limit_bytes)
        return self.size_bytes > self.limit_bytes

    def _shrink_to(self, target_bytes: int) -> None:
        for _ in range(_SLICE_ENTRIES):
            if self.size_bytes <= target_bytes:
                return
            self._forget(self._queues.pop_victim(), "room")

    def _forget(self, key: bytes, reason: str) -> None:
        entry = self._entries.pop(key)
        self.size_bytes -= entry.cost
        self._held_of_priority[entry.priority] -= 1
        self.removals[reason] += 1

    def _capacity(self) -> int:
        return max(1, round(self.limit_bytes / self._entry_bytes))

    def _resize_ghosts(self) -> None:
        assert self._ghosts is not None  # noqa: S101
        entries = self._capacity()
        if not entries / _RESIZED <= self._ghosts.entries <= entries * _RESIZED:
            self._ghosts = GhostCaches(CANDIDATES, entries)


def entry_bytes(answer: Answer) -> int:
    """Return what one entry is charged with."""
    return len(answer.data) + ENTRY_OVERHEAD_BYTES
