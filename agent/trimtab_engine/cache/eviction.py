"""Which entry leaves first: LRU and S3-FIFO over the same two queues, so that a change of policy moves no entry.

S3-FIFO is from Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1: new entries
enter a small queue; those that were used there move to the main queue when their turn comes, the others leave and are
remembered; what is asked for again while remembered enters the main queue, which passes over entries as often as they
were used (at most three times). LRU keeps one queue in order of use.

The adaptive rule lets what is remembered move the border between the queues, as ARC does (Megiddo and Modha, FAST
2003): asking for a key that left the small queue makes it larger, for one that left the main queue smaller.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

_MOST_USES = 3
_LARGEST_SHARE = 0.95
# What is passed over before an entry leaves in any case: one eviction must not walk through a cache of millions.
_LONGEST_SEARCH = 1000

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class EvictionRule:
    """How the two queues are used; `small_share` and `promoted_at` uses concern S3-FIFO only."""

    name: str
    recency_only: bool = False
    small_share: float = 0.1
    promoted_at: int = 2
    adaptive: bool = False


LRU = EvictionRule("lru", recency_only=True)
S3FIFO = EvictionRule("s3fifo")
S3FIFO_EARLY = EvictionRule("s3fifo-early", promoted_at=1)
S3FIFO_ADAPTIVE = EvictionRule("s3fifo-adaptive", promoted_at=1, adaptive=True)


class Node(Generic[K]):
    """What the queues know of one key. `passes` = how often it is passed over for its priority."""

    __slots__ = ("cost", "passes", "queue", "uses")

    def __init__(self, cost: int, passes: int = 0) -> None:
        self.cost = cost
        self.uses = 0
        self.passes = passes
        self.queue: OrderedDict[K, Node[K]] | None = None


class TwoQueues(Generic[K]):
    """The order of eviction of keys whose costs share a budget of `limit` (bytes or entries)."""

    def __init__(self, limit: int, rule: EvictionRule) -> None:
        self.limit = limit
        self.rule = rule
        self._small: OrderedDict[K, Node[K]] = OrderedDict()
        self._main: OrderedDict[K, Node[K]] = OrderedDict()
        self._small_cost = 0
        self._small_share = rule.small_share
        self._left_small: OrderedDict[K, None] = OrderedDict()
        self._left_main: OrderedDict[K, None] = OrderedDict()

    def use(self, rule: EvictionRule) -> None:
        """Follow another rule from the next call on; every key stays where it is."""
        self.rule = rule
        self._small_share = rule.small_share
        if not rule.adaptive:
            self._left_main.clear()
        if rule.recency_only:
            self._left_small.clear()

    def add(self, key: K, node: Node[K]) -> None:
        """Take in a new key."""
        if self.rule.recency_only or self._remembered(key, node.cost):
            self._place(key, node, self._main)
        else:
            self._place(key, node, self._small)
            self._small_cost += node.cost

    def hit(self, key: K, node: Node[K]) -> None:
        """Note a use of a key."""
        if self.rule.recency_only and node.queue is self._small:
            self.remove(key, node)
            self._place(key, node, self._main)
        elif self.rule.recency_only:
            self._main.move_to_end(key)
        elif node.uses < _MOST_USES:
            node.uses += 1

    def remove(self, key: K, node: Node[K]) -> None:
        """Forget a key."""
        if node.queue is not None:
            del node.queue[key]
        if node.queue is self._small:
            self._small_cost -= node.cost

    def pop_victim(self) -> K:
        """Forget and return the key that should leave; called only while there is one."""
        for _ in range(_LONGEST_SEARCH):
            key, node, small = self._pop_head()
            if not self._passed_over(key, node, small):
                break
        else:
            key, node, small = self._pop_head()
        self._remember(key, small)
        return key

    def _pop_head(self) -> tuple[K, Node[K], bool]:
        small_is_due = self.rule.recency_only or self._small_cost > self._small_share * self.limit
        if self._small and (small_is_due or not self._main):
            key, node = self._small.popitem(last=False)
            self._small_cost -= node.cost
            return key, node, True
        key, node = self._main.popitem(last=False)
        return key, node, False

    def _passed_over(self, key: K, node: Node[K], small: bool) -> bool:
        if node.passes:
            node.passes -= 1
        elif small and node.uses >= self.rule.promoted_at:
            node.uses = 0
        elif not small and node.uses and not self.rule.recency_only:
            node.uses -= 1
        else:
            return False
        self._place(key, node, self._main)
        return True

    def _place(self, key: K, node: Node[K], queue: OrderedDict[K, Node[K]]) -> None:
        queue[key] = node
        node.queue = queue

    def _remembered(self, key: K, cost: int) -> bool:
        in_small, in_main = len(self._left_small), len(self._left_main)
        if key in self._left_small:
            del self._left_small[key]
            if self.rule.adaptive:
                step = max(1.0, in_main / in_small) * cost / max(1, self.limit)
                self._small_share = min(_LARGEST_SHARE, self._small_share + step)
            return True
        if key in self._left_main:
            del self._left_main[key]
            step = max(1.0, in_small / in_main) * cost / max(1, self.limit)
            self._small_share = max(0.0, self._small_share - step)
            return True
        return False

    def _remember(self, key: K, small: bool) -> None:
        if self.rule.recency_only or not (small or self.rule.adaptive):
            return
        remembered = self._left_small if small else self._left_main
        remembered[key] = None
        most = 1 + 9 * (len(self._small) + len(self._main)) // 10
        for _ in range(2):  # falls back to the bound where the cache is cut short, without a long pause
            if len(remembered) > most:
                remembered.popitem(last=False)
