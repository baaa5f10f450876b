"""How often inputs repeat, estimated whether or not the cache is on: what a cache would be worth here.

One input in eight is followed, chosen by its hash, so that all repeats of a chosen input are seen. The last 4096 of
these are remembered: a repeat counts when a cache of about 32 000 entries would have had the answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from trimtab_engine.jobs import Row

SAMPLED_ONE_IN = 8
_SAMPLED_BITS = SAMPLED_ONE_IN - 1  # these bits of the hash are zero for one input in eight
_MAX_KEYS = 4096


class RepeatSample:
    """Counts the sampled inputs and those among them that were seen before; both only grow."""

    def __init__(self) -> None:
        self.inputs = 0
        self.repeats = 0
        self._recent: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._recent)

    def see(self, rows: Sequence[str | Row]) -> None:
        """Note the inputs of one request."""
        for row in rows:
            # Python's own keyed 64-bit hash: a tenth of the cost of a cache key, and nobody outside can aim at it.
            key = hash(row if isinstance(row, str) else b"".join([tensor.tobytes() for tensor in row.tensors]))
            if key & _SAMPLED_BITS == 0:
                self._see(key)

    def _see(self, key: int) -> None:
        self.inputs += 1
        if key in self._recent:
            self.repeats += 1
            self._recent.move_to_end(key)
            return
        self._recent[key] = None
        if len(self._recent) > _MAX_KEYS:
            self._recent.popitem(last=False)
