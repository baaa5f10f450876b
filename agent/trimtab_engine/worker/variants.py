"""The trees of one model by name: the original, never changed, and the variants made from it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trimtab_engine.model_directory import Description
from trimtab_engine.variant_messages import (
    BuildVariant,
    DropVariant,
    LayersListed,
    ListLayers,
    VariantBuilt,
    VariantDropped,
    VariantRefused,
)
from trimtab_engine.wire import BASE_VARIANT
from trimtab_engine.worker.declared import weight_file_bytes
from trimtab_engine.worker.int8_linear import Int8Linear
from trimtab_engine.worker.layers import PlanError, change_layers, layer_facts, linear_layers, probe
from trimtab_engine.worker.share_clone import changing_buffers, share_clone

MAX_VARIANTS = 4
_PAGE_BYTES = 4096
_MAX_MESSAGE_CHARACTERS = 300

Arrays = Mapping[str, NDArray[Any]]


class VariableModel(Protocol):
    """What variants need of a model; `module` is None where there is no tree to change."""

    module: nn.Module | None
    device: torch.device

    def run(self, inputs: Arrays) -> Arrays:
        """Compute a batch."""
        ...

    def with_module(self, module: nn.Module) -> Self:
        """Return the same model around another tree."""
        ...


M = TypeVar("M", bound=VariableModel)


class Variants(Generic[M]):
    """Builds, keeps and drops the variants of one model. Not thread-safe: a worker does one thing at a time."""

    def __init__(self, base: M, example: Arrays, load: Callable[[Description], M] | None = None) -> None:
        """Take the original, one small batch of valid inputs, for probing and warming up, and how to load another.

        `load` raises PlanError for a model that cannot stand in for the original.
        """
        self._trees: dict[str, M] = {BASE_VARIANT: base}
        self._base = base
        self._example = example
        self._load: Callable[[Description], M] = load or _load_nothing
        self._candidates, self._unavailable = probe(base.device)

    def tree(self, variant: str) -> M:
        """Return the tree that answers for a variant.

        Raises:
            KeyError: there is none of that name.
        """
        return self._trees[variant]

    def list_layers(self, request: ListLayers) -> LayersListed:
        """Return the layers a plan can change; none where the model has no tree."""
        module = self._base.module
        layers = [] if module is None else layer_facts(module, self._candidates)
        return LayersListed(request.request, layers, self._candidates, self._unavailable)

    def build(self, request: BuildVariant) -> VariantBuilt | VariantRefused:
        """Make a tree from the float original, warm it and measure its memory; a refusal leaves nothing behind."""
        try:
            return self._build(request) if request.declared is None else self._load_declared(request, request.declared)
        except PlanError as error:
            return VariantRefused(request.request, request.variant, error.reason, str(error))
        except Exception as error:  # whatever a model's own code or a backend raises
            message = f"{type(error).__name__}: {error}"[:_MAX_MESSAGE_CHARACTERS]
            return VariantRefused(request.request, request.variant, "BuildFailed", message)

    def drop(self, request: DropVariant) -> VariantDropped | VariantRefused:
        """Forget a tree and give its memory back."""
        if request.variant == BASE_VARIANT or request.variant not in self._trees:
            return VariantRefused(request.request, request.variant, "UnknownVariant", "no variant of that name")
        before = held_bytes(self._base.device)
        del self._trees[request.variant]
        gc.collect()
        return VariantDropped(request.request, request.variant, max(0, before - held_bytes(self._base.device)))

    def _build(self, request: BuildVariant) -> VariantBuilt:
        began = time.perf_counter()
        module = self._startable(request)
        before = held_bytes(self._base.device)
        own = changing_buffers(module, lambda trial: self._base.with_module(trial).run(self._example))
        tree = share_clone(module, own)
        changed = change_layers(tree, request.plan, self._candidates)
        if changed == 0:
            raise PlanError("NoLayersChanged", "the plan changes no layer")
        model = self._base.with_module(tree)
        if not all(np.isfinite(output).all() for output in model.run(self._example).values()):
            raise PlanError("NotFinite", "an answer of the warm-up is not finite")
        int8_bytes = sum(layer.weight_bytes for layer in tree.modules() if isinstance(layer, Int8Linear))
        extra = max(int8_bytes, held_bytes(self._base.device) - before)
        _check_memory(request, extra)
        self._trees[request.variant] = model
        total = int8_bytes + sum(parameter.nbytes for parameter in tree.parameters())
        share = _quantized_share(module, tree)
        return VariantBuilt(request.request, request.variant, changed, total, extra, share, time.perf_counter() - began)

    def _load_declared(self, request: BuildVariant, declared: Description) -> VariantBuilt:
        began = time.perf_counter()
        self._check_room(request)
        before = held_bytes(self._base.device)
        _check_memory(request, weight_file_bytes(declared))
        model = self._load(declared)
        if not all(np.isfinite(output).all() for output in model.run(self._example).values()):
            raise PlanError("NotFinite", "an answer of the warm-up is not finite")
        total = 0 if model.module is None else sum(parameter.nbytes for parameter in model.module.parameters())
        extra = max(total, held_bytes(self._base.device) - before)
        _check_memory(request, extra)
        self._trees[request.variant] = model
        return VariantBuilt(request.request, request.variant, 0, total, extra, 0.0, time.perf_counter() - began)

    def _startable(self, request: BuildVariant) -> nn.Module:
        self._check_room(request)
        if self._base.module is None:
            raise PlanError("NoModule", "this kind of model has no layers that could be changed")
        return self._base.module

    def _check_room(self, request: BuildVariant) -> None:
        if request.variant in self._trees:
            raise PlanError("NameTaken", f"there is a variant {request.variant!r}")
        if len(self._trees) > MAX_VARIANTS:
            raise PlanError("TooManyVariants", f"the worker keeps {MAX_VARIANTS} beside the original; drop one first")


def _load_nothing(declared: Description) -> Any:
    raise PlanError("BuildFailed", f"nothing loads {declared.name} here")


def _check_memory(request: BuildVariant, extra_bytes: int) -> None:
    if 0 < request.memory_limit_bytes < extra_bytes:
        raise PlanError("MemoryShort", f"it takes {extra_bytes} bytes; {request.memory_limit_bytes} are allowed")


def held_bytes(device: torch.device) -> int:
    """Return the memory that this process holds: the allocator's on a GPU, resident pages on the CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def _quantized_share(base: nn.Module, tree: nn.Module) -> float:
    """Share of the multiplications in linear layers, per token, that the tree does in int8."""
    everything = {name: layer.in_features * layer.out_features for name, layer in linear_layers(base).items()}
    left = sum(everything[name] for name in linear_layers(tree))
    total = sum(everything.values())
    return 1.0 - left / total if total else 0.0
