"""The waste ledger: seconds of the workers' busy time that bought nothing, by kind.

padding: the share of a batch's positions that are padding, an upper bound where the model skips it (our BERT encoder
pads nothing on a CPU, and for attention only on a GPU). duplicates: inputs that were computed although one of the last
4096 sampled different ones was the same; a sample of one in eight, so each counts eightfold. copies: moving tensors
into and out of the shared memory. recompiles: torch.compile in the middle of a pass, as torch times it; there is no
series before a worker has reported any, so none for models that run eagerly. The front's copies are not in the workers'
busy time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from prometheus_client import Counter

from trimtab_engine.jobs import Item
from trimtab_engine.repeats import SAMPLED_ONE_IN, RepeatSample


class Waste(StrEnum):
    """The label `kind` of trimtab_engine_waste_seconds_total."""

    PADDING = "padding"
    DUPLICATES = "duplicates"
    COPIES = "copies"
    RECOMPILES = "recompiles"


class WasteLedger:
    """Books of one model."""

    def __init__(self, seconds: Counter, model: str) -> None:
        self._seconds = {kind: seconds.labels(model, kind.value) for kind in Waste if kind is not Waste.RECOMPILES}
        self._counter, self._model = seconds, model
        self._computed = RepeatSample()

    def passed(
        self, items: Sequence[Item], seconds: float, copy_seconds: float, compile_seconds: float | None = None
    ) -> None:
        """Book a finished batch: its items, the wall time of the pass, that of the copies, and of what was compiled."""
        longest = max(item.length for item in items)
        share = 1.0 - sum(item.length for item in items) / (longest * len(items))
        self._seconds[Waste.PADDING].inc(seconds * share)
        before = self._computed.repeats
        self._computed.see([item.row for item in items])
        repeats = min(SAMPLED_ONE_IN * (self._computed.repeats - before), len(items))
        self._seconds[Waste.DUPLICATES].inc(seconds * repeats / len(items))
        self._seconds[Waste.COPIES].inc(copy_seconds)
        if compile_seconds is not None:
            self._counter.labels(self._model, Waste.RECOMPILES.value).inc(compile_seconds)
