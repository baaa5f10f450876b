"""Which rule of eviction is in force: the one set, or the one whose ghost cache hits most by a margin that lasts."""

from __future__ import annotations

from collections.abc import Sequence

from trimtab_engine.cache.eviction import LRU, S3FIFO, S3FIFO_ADAPTIVE, S3FIFO_EARLY, EvictionRule

CANDIDATES: tuple[EvictionRule, ...] = (S3FIFO_ADAPTIVE, LRU, S3FIFO, S3FIFO_EARLY)
FIXED: dict[str, EvictionRule] = {"LRU": LRU, "S3FIFO": S3FIFO}
"""The rule of each value of `cacheEviction` other than Auto."""

_MARGIN = 0.003  # of the hit ratio; less is noise of the sample
_WINDOWS_AHEAD = 2


class RuleChoice:
    """Keeps the rule in force and changes it when another one has been ahead for some windows."""

    def __init__(self) -> None:
        self.rule = CANDIDATES[0]
        self._ahead = 0

    def judge(self, hit_ratios: Sequence[float]) -> EvictionRule:
        """Return the rule for the next window, given the ratio of each candidate (0 to 1, in their order)."""
        best = max(range(len(CANDIDATES)), key=hit_ratios.__getitem__)
        lead = hit_ratios[best] - hit_ratios[CANDIDATES.index(self.rule)]
        self._ahead = self._ahead + 1 if lead > _MARGIN else 0
        if self._ahead >= _WINDOWS_AHEAD:
            self.rule = CANDIDATES[best]
            self._ahead = 0
        return self.rule
