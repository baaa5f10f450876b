"""A worker whose model is a table: seconds saved and accuracy lost per layer. It keeps the worker's rules."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

import numpy as np

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import Answered, Ask, Chore, ChoreOutcome, RowsRun, RunRows
from trimtab_engine.jobs import Row, TokenRow
from trimtab_engine.variant_messages import (
    BuildVariant,
    Candidate,
    DropVariant,
    LayerChange,
    LayerCost,
    LayerFacts,
    LayersListed,
    ListLayers,
    ModelProfiled,
    ProfileModel,
    VariantBuilt,
    VariantDropped,
    VariantRefused,
)
from trimtab_engine.variants.accuracy import Outputs
from trimtab_engine.variants.capture import CapturedInput

KINDS = ("query", "value", "inner")
WIDTH = 32
LAYER_BYTES = 64 * 64
ONEDNN, TORCHAO = Candidate("int8_dynamic", "onednn"), Candidate("int8_dynamic", "torchao")


class TableModel:
    """Answers chores as a worker would: a batch takes 10 ms less what its layers save; losses of cosine add up."""

    def __init__(
        self, loss: Callable[[str], float], saving_seconds: Callable[[LayerChange], float], layers_each: int = 4
    ) -> None:
        self.loss, self.saving_seconds = loss, saving_seconds
        self.layers = [f"{n}.{kind}" for kind in KINDS for n in range(layers_each)]
        self.variants: dict[str, list[LayerChange]] = {BASE_VARIANT: []}
        self.noise = random.Random(1)
        self.chores = 0
        self.declared_plans: dict[str, list[LayerChange]] = {}  # declared models behave like these plans
        self.cannot_profile = False
        self.missing_backends: set[str] = set()
        self.slow_rows = 0  # batches of up to so many rows lose the time that others save

    def answer(self, chore: Chore) -> ChoreOutcome:
        self.chores += 1
        if isinstance(chore, RunRows):
            return self._run(chore)
        assert isinstance(chore, Ask)
        message = chore.message
        if isinstance(message, ListLayers):
            facts = [
                LayerFacts(name, name.split(".")[1], 64, 64, 4 * LAYER_BYTES, [TORCHAO, ONEDNN]) for name in self.layers
            ]
            return Answered(LayersListed(message.request, facts, [TORCHAO, ONEDNN], []), 0.001)
        if isinstance(message, ProfileModel):
            return Answered(self._profile(message), 0.01)
        if isinstance(message, BuildVariant):
            return Answered(self._build(message), 0.01)
        assert isinstance(message, DropVariant)
        del self.variants[message.variant]
        return Answered(VariantDropped(message.request, message.variant, 1), 0.001)

    def _profile(self, message: ProfileModel) -> ModelProfiled | VariantRefused:
        if self.cannot_profile:
            return VariantRefused(message.request, BASE_VARIANT, "ProfileFailed", "RuntimeError")
        return ModelProfiled(message.request, [LayerCost(kind, 1 / len(KINDS), 1 / len(KINDS)) for kind in KINDS])

    def _build(self, message: BuildVariant) -> VariantBuilt | VariantRefused:
        assert message.variant not in self.variants
        assert len(self.variants) <= 4
        if 0 < message.memory_limit_bytes < LAYER_BYTES * len(message.plan or self.layers):
            return VariantRefused(message.request, message.variant, "MemoryShort", "too large")
        if missing := self.missing_backends & {change.backend for change in message.plan}:
            return VariantRefused(message.request, message.variant, "BackendMissing", f"no {missing.pop()} here")
        plan = self.declared_plans[message.declared.name] if message.declared else message.plan
        self.variants[message.variant] = plan
        share = len(message.plan) / len(self.layers)
        return VariantBuilt(message.request, message.variant, len(message.plan), 1, 1, share, 0.01)

    def _run(self, chore: RunRows) -> RowsRun:
        plan = self.variants[chore.variant]
        answers: list[bytes | None] = [self.vector(row, plan) for row in chore.rows]
        saved = sum(self.saving_seconds(change) for change in plan)
        seconds = 0.010 - (saved if len(chore.rows) > self.slow_rows else -abs(saved))
        return RowsRun(answers, seconds * self.noise.uniform(0.97, 1.03))

    def vector(self, row: Row, plan: Sequence[LayerChange]) -> bytes:
        """The answer to a row by a plan: its cosine to the original's is 1 less what the layers lose."""
        cosine = 1.0 - sum(self.loss(change.layer) for change in plan)
        first, other = np.random.default_rng(int(row.tensors[0][0])).permutation(WIDTH)[:2]
        vector = np.zeros(WIDTH, np.float32)
        vector[first], vector[other] = cosine, np.sqrt(max(0.0, 1 - cosine**2))
        return vector.tobytes()


def an_input(number: int, size_bytes: int = 4) -> CapturedInput:
    """An input of one token."""
    row = TokenRow(np.array([number], np.int32))
    return CapturedInput(hashlib.blake2b(row.ids.tobytes(), digest_size=16).digest(), row, 1, size_bytes)


def decode_vector(answer: bytes | None) -> Outputs:
    assert answer is not None
    return np.frombuffer(answer, np.float32)


def onednn_saves(change: LayerChange) -> float:
    """Half a millisecond by oneDNN; the other library has no kernel and is slow."""
    return 0.0005 if change.backend == "onednn" else -0.02
