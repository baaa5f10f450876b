"""What each rule would hit, from caches of keys without answers, on a sample of the requests (scaled-down simulation).

Sampling by the key's hash at rate 1/R with a cache of size/R keeps the hit ratio: Waldspurger et al., "Cache modeling
and optimization using miniature simulations", USENIX ATC 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

from trimtab_engine.cache.eviction import EvictionRule, Node, TwoQueues

# Fewer entries make the estimate too coarse, more cost time; a cache of up to this size is simulated whole.
_GHOST_ENTRIES = 256
_LONGEST_SAMPLING_BITS = 8
_WINDOW_SAMPLES = 256
_KEPT_OF_A_WINDOW = 0.9  # the last ten windows or so decide


class _Ghost:
    def __init__(self, rule: EvictionRule, entries: int) -> None:
        self.hits = 0
        self._entries = entries
        self._nodes: dict[int, Node[int]] = {}
        self._queues: TwoQueues[int] = TwoQueues(entries, rule)

    def see(self, key: int) -> None:
        node = self._nodes.get(key)
        if node is not None:
            self.hits += 1
            self._queues.hit(key, node)
            return
        if len(self._nodes) >= self._entries:
            del self._nodes[self._queues.pop_victim()]
        node = self._nodes[key] = Node(1)
        self._queues.add(key, node)


class GhostCaches:
    """One ghost for each rule, for a cache that holds `entries` answers."""

    def __init__(self, rules: Sequence[EvictionRule], entries: int) -> None:
        self.entries = entries
        bits = min(_LONGEST_SAMPLING_BITS, max(0, (entries // _GHOST_ENTRIES).bit_length()))
        self._sampling_mask = (1 << bits) - 1
        self.hit_ratios: list[float] = []
        self._ghosts = [_Ghost(rule, max(1, entries >> bits)) for rule in rules]
        self._samples = 0
        self._weight = 0.0
        self._weighted_hits = [0.0] * len(rules)

    def see(self, fingerprint: int) -> bool:
        """Note a lookup by its 64-bit hash. Returns whether a window ended, and with it new `hit_ratios`."""
        if fingerprint & self._sampling_mask:
            return False
        for ghost in self._ghosts:
            ghost.see(fingerprint)
        self._samples += 1
        if self._samples < _WINDOW_SAMPLES:
            return False
        self._end_window()
        return True

    def _end_window(self) -> None:
        self._weight = _KEPT_OF_A_WINDOW * self._weight + self._samples
        for number, ghost in enumerate(self._ghosts):
            self._weighted_hits[number] = _KEPT_OF_A_WINDOW * self._weighted_hits[number] + ghost.hits
            ghost.hits = 0
        self._samples = 0
        self.hit_ratios = [hits / self._weight for hits in self._weighted_hits]
