"""What search and gate ask of the worker, as generators that yield chores of about one batch and are sent outcomes."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.chores import Answered, Ask, Chore, ChoreFailed, ChoreOutcome, RowsRun, RunRows
from trimtab_engine.variant_messages import (
    BuildVariant,
    DropVariant,
    LayerChange,
    LayerCost,
    LayersListed,
    ListLayers,
    ModelProfiled,
    ProfileModel,
    RowBytes,
    VariantBuilt,
    VariantDropped,
    VariantRefused,
)
from trimtab_engine.variants.accuracy import Outputs
from trimtab_engine.variants.capture import CapturedInput
from trimtab_engine.variants.declared import Declared
from trimtab_engine.variants.evidence import Evidence
from trimtab_engine.variants.intervals import Numbers
from trimtab_engine.variants.layer_costs import averaged
from trimtab_engine.wire import in_one_packet

_PROFILED_PASSES = 3
_PROFILED_BYTES = 1 << 15  # of a pass's inputs; a packet takes twice as many

T = TypeVar("T")
M = TypeVar("M", bound=msgspec.Struct)
Course = Generator[Chore, ChoreOutcome, T]
Plan = tuple[LayerChange, ...]
Recipe = Plan | Declared
Decode = Callable[[bytes | None], Outputs]


class Refused(Exception):  # noqa: N818  a verdict, reported by its reason
    """There is no variant to put in force; `reason` in CamelCase, the message and, of a gate, the evidence say why."""

    def __init__(self, reason: str, message: str, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.evidence = evidence


class Probe:
    """One model on one worker: builds and drops variants, runs inputs on them, and counts what that costs."""

    def __init__(
        self, model: str, batch_size: int, decode: Decode, memory_limit_bytes: Callable[[], int] = lambda: 0
    ) -> None:
        """`decode` turns what the model gave for a row into the numbers [width] that are compared.

        `memory_limit_bytes` is what one more variant may take, 0 = any.
        """
        self._model = model
        self.batch_size = batch_size
        self._decode = decode
        self._memory_limit_bytes = memory_limit_bytes
        self._requests = 0
        self._choice = random.Random(batch_size)  # noqa: S311  which batches are timed
        self.profile: list[LayerCost] = []  # once it was asked for
        self.seconds = 0.0  # of the device
        self.builds = 0
        self.refused: list[Refused] = []  # of these builds
        self.built: set[str] = set()

    def layers(self) -> Course[LayersListed]:
        """Ask for the layers that a plan may change."""
        return (yield from self._ask(ListLayers(self._next_request(), self._model), LayersListed))

    def profiled(self, inputs: Sequence[CapturedInput]) -> Course[list[LayerCost]]:
        """Return where batches of these inputs spend their time, by kind of layer."""
        passes = []
        for _ in range(_PROFILED_PASSES):
            message = ProfileModel(self._next_request(), self._model, _in_one_packet(self._batch_of(inputs)))
            passes.append((yield from self._ask(message, ModelProfiled)).layers)
        self.profile = averaged(passes)
        return self.profile

    def build(self, recipe: Recipe) -> Course[VariantBuilt]:
        """Make a variant by a plan, or load a declared one; for its name see `variant_name`."""
        name = variant_name(recipe)
        self.builds += 1
        limit_bytes = self._memory_limit_bytes()
        plan, declared = ([], recipe.description) if isinstance(recipe, Declared) else (list(recipe), None)
        message = BuildVariant(self._next_request(), self._model, name, plan, declared, limit_bytes)
        try:
            built = yield from self._ask(message, VariantBuilt)
        except Refused as refusal:
            self.refused.append(refusal)
            raise
        self.built.add(name)
        return built

    def drop(self, variant: str) -> Course[None]:
        """Forget a variant."""
        self.built.discard(variant)
        yield from self._ask(DropVariant(self._next_request(), self._model, variant), VariantDropped)

    def answers(self, variant: str, inputs: Sequence[CapturedInput], batch_size: int | None = None) -> Course[Outputs]:
        """Return a variant's answers [n, width] to n inputs, in batches of the size that is served."""
        rows: list[Outputs] = []
        size = batch_size or self.batch_size
        for start in range(0, len(inputs), size):
            ran = yield from self._run(variant, inputs[start : start + size])
            rows += [self._decode(answer) for answer in ran.answers]
        return np.stack(rows)

    def pairs(self, variant: str, inputs: Sequence[CapturedInput], count: int) -> Course[tuple[Numbers, Numbers]]:
        """Return the seconds [count] that original and variant took for the same batches, in random order."""
        seconds: dict[str, list[float]] = {BASE_VARIANT: [], variant: []}
        for _ in range(count):
            batch = self._batch_of(inputs)
            for name in self._choice.sample([BASE_VARIANT, variant], 2):
                seconds[name].append((yield from self._run(name, batch)).seconds)
        return np.array(seconds[BASE_VARIANT]), np.array(seconds[variant])

    def _batch_of(self, inputs: Sequence[CapturedInput]) -> Sequence[CapturedInput]:
        return self._choice.sample(inputs, min(self.batch_size, len(inputs)))

    def _run(self, variant: str, batch: Sequence[CapturedInput]) -> Course[RowsRun]:
        outcome = yield RunRows([one.row for one in batch], variant)
        if not isinstance(outcome, RowsRun):
            raise Refused("PassFailed", f"a pass of {variant} failed: {_reason(outcome)}")
        self.seconds += outcome.seconds
        return outcome

    def _ask(self, message: msgspec.Struct, expected: type[M]) -> Course[M]:
        outcome = yield Ask(message)
        if not isinstance(outcome, Answered):
            raise Refused("WorkerFailed", f"{type(message).__name__} was not answered: {_reason(outcome)}")
        self.seconds += outcome.seconds
        if isinstance(outcome.message, VariantRefused):
            raise Refused(outcome.message.reason, outcome.message.message)
        if not isinstance(outcome.message, expected):
            raise Refused("WorkerFailed", f"{type(message).__name__} was answered {type(outcome.message).__name__}")
        return outcome.message

    def _next_request(self) -> int:
        self._requests += 1
        return self._requests


def _in_one_packet(batch: Sequence[CapturedInput]) -> list[RowBytes]:
    """Return the rows, or as many of the first as a packet takes."""
    rows = (RowBytes(one.length, [tensor.tobytes() for tensor in one.row.tensors]) for one in batch)
    return in_one_packet(rows, _PROFILED_BYTES)


def variant_name(recipe: Recipe) -> str:
    """Return a variant's name: that which was declared, or a plan's formats and hash, the same everywhere."""
    if isinstance(recipe, Declared):
        return recipe.name
    digest = hashlib.blake2b(
        msgspec.msgpack.encode(sorted((c.layer, c.format, c.backend) for c in recipe)), digest_size=4
    )
    formats = "+".join(sorted({change.format.partition("_")[0] for change in recipe}))
    return f"{formats}-{digest.hexdigest()}"


def _reason(outcome: ChoreOutcome) -> str:
    return outcome.reason if isinstance(outcome, ChoreFailed) else type(outcome).__name__
