"""One model's variants by name: the original, never changed, and what is made from it or loaded in its place."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.memory.resident import resident_bytes
from trimtab_engine.model_directory import Description
from trimtab_engine.variant_messages import (
    BuildVariant,
    DropVariant,
    LayerChange,
    LayersListed,
    ListLayers,
    VariantBuilt,
    VariantDropped,
    VariantRefused,
)
from trimtab_engine.wire import MAX_PACKET_BYTES, in_one_packet
from trimtab_engine.worker.declared import weight_file_bytes
from trimtab_engine.worker.layers import EightBitLinear, PlanError, change_layers, layer_facts, linear_layers, probe
from trimtab_engine.worker.model import Arrays, Model, ModelWithTree
from trimtab_engine.worker.share_clone import changing_buffers, share_clone

MAX_VARIANTS = 4
_LISTED_BYTES = MAX_PACKET_BYTES - 4096  # of layers; a plan of them all takes less
_MAX_MESSAGE_CHARACTERS = 300


class _Made(NamedTuple):
    """A model for a variant, not warm yet; `own_bytes` are those of its weights that the original does not hold."""

    model: Model
    changed_layers: int
    weight_bytes: int
    own_bytes: int
    quantized_share: float


class Variants:
    """Builds, keeps and drops the variants of one model. Not thread-safe: a worker does one thing at a time."""

    def __init__(self, base: Model, example: Arrays, load: Callable[[Description], Model]) -> None:
        """Take the original, one small batch of valid inputs, for probing and warming up, and how to load another.

        `load` raises PlanError for a model that cannot stand in for the original.
        """
        self._models: dict[str, Model] = {BASE_VARIANT: base}
        self._base = base
        self._example = example
        self._load = load
        self._candidates, self._unavailable = probe(base.device)

    def model(self, variant: str) -> Model:
        """Return the model that answers for a variant.

        Raises:
            KeyError: there is none of that name.
        """
        return self._models[variant]

    def list_layers(self, request: ListLayers) -> LayersListed:
        """Return the layers a plan can change, or the first that one message takes; none where there is no tree."""
        base = self._base
        layers = layer_facts(base.module, self._candidates) if isinstance(base, ModelWithTree) else []
        listed = in_one_packet(layers, _LISTED_BYTES)
        return LayersListed(request.request, listed, self._candidates, self._unavailable)

    def build(self, request: BuildVariant) -> VariantBuilt | VariantRefused:
        """Make a tree from the float original, or load the declared model, warm it and measure its memory.

        A refusal leaves nothing behind.
        """
        try:
            return self._build(request)
        except PlanError as error:
            return VariantRefused(request.request, request.variant, error.reason, str(error))
        except Exception as error:  # whatever a model's own code or a backend raises
            message = f"{type(error).__name__}: {error}"[:_MAX_MESSAGE_CHARACTERS]
            return VariantRefused(request.request, request.variant, "BuildFailed", message)

    def drop(self, request: DropVariant) -> VariantDropped | VariantRefused:
        """Forget a variant and give its memory back."""
        if request.variant == BASE_VARIANT or request.variant not in self._models:
            return VariantRefused(request.request, request.variant, "UnknownVariant", "no variant of that name")
        before = _held_bytes(self._base.device)
        del self._models[request.variant]
        gc.collect()
        return VariantDropped(request.request, request.variant, max(0, before - _held_bytes(self._base.device)))

    def _build(self, request: BuildVariant) -> VariantBuilt:
        began = time.perf_counter()
        self._check_room(request)
        before = _held_bytes(self._base.device)
        made = self._changed(request.plan) if request.declared is None else self._loaded(request, request.declared)
        if not all(np.isfinite(output).all() for output in made.model.run(self._example).values()):
            raise PlanError("NotFinite", "an answer of the warm-up is not finite")
        extra = max(made.own_bytes, _held_bytes(self._base.device) - before)
        _check_memory(request, extra)
        self._models[request.variant] = made.model
        return VariantBuilt(
            request=request.request,
            variant=request.variant,
            changed_layers=made.changed_layers,
            weight_bytes=made.weight_bytes,
            extra_bytes=extra,
            quantized_share=made.quantized_share,
            seconds=time.perf_counter() - began,
        )

    def _changed(self, plan: Sequence[LayerChange]) -> _Made:
        base = self._base
        if not isinstance(base, ModelWithTree):
            raise PlanError("NoModule", "this kind of model has no layers that could be changed")
        own = changing_buffers(base.module, lambda trial: base.with_module(trial).run(self._example))
        tree = share_clone(base.module, own)
        changed = change_layers(tree, plan, self._candidates)
        if changed == 0:
            raise PlanError("NoLayersChanged", "the plan changes no layer")
        own_bytes = sum(layer.weight_bytes for layer in tree.modules() if isinstance(layer, EightBitLinear))
        total, share = own_bytes + _weight_bytes(tree), _quantized_share(base.module, tree)
        return _Made(base.with_module(tree), changed, total, own_bytes, share)

    def _loaded(self, request: BuildVariant, declared: Description) -> _Made:
        _check_memory(request, weight_file_bytes(declared))
        model = self._load(declared)
        total = _weight_bytes(model.module) if isinstance(model, ModelWithTree) else 0
        return _Made(model, 0, total, total, 0.0)

    def _check_room(self, request: BuildVariant) -> None:
        if request.variant in self._models:
            raise PlanError("NameTaken", f"there is a variant {request.variant!r}")
        if len(self._models) > MAX_VARIANTS:
            raise PlanError("TooManyVariants", f"the worker keeps {MAX_VARIANTS} beside the original; drop one first")


def _check_memory(request: BuildVariant, extra_bytes: int) -> None:
    if 0 < request.memory_limit_bytes < extra_bytes:
        raise PlanError("MemoryShort", f"it takes {extra_bytes} bytes; {request.memory_limit_bytes} are allowed")


def _held_bytes(device: torch.device) -> int:
    """Return the memory that this process holds: the allocator's on a GPU, resident pages on the CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return resident_bytes() or 0


def _weight_bytes(module: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in module.parameters())


def _quantized_share(base: nn.Module, tree: nn.Module) -> float:
    """Share of the multiplications in linear layers, per token, that the tree does in 8 bits."""
    everything = {name: layer.in_features * layer.out_features for name, layer in linear_layers(base).items()}
    left = sum(everything[name] for name in linear_layers(tree))
    total = sum(everything.values())
    return 1.0 - left / total if total else 0.0
