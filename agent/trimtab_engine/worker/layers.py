"""Which layers of a module tree a plan may change, in which formats this device computes, and the change itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from trimtab_engine.variant_messages import Candidate, LayerChange, LayerFacts, RefusalReason
from trimtab_engine.variants.layer_costs import kind_of
from trimtab_engine.worker.int8_linear import Int8Linear
from trimtab_engine.worker.packed_linear import PackedLinear

_PROBE_WIDTH = 64
_PROBE_ERROR = 0.05
_INT8 = Candidate("int8_dynamic", "onednn")
_NOT_BUILT = tuple(
    f"{format_} torchao: not built, the engine comes without torchao"
    for format_ in ("int8_weight_only", "float8_dynamic", "int4_weight_only")
)


@runtime_checkable
class JoinsLayers(Protocol):
    """A module whose named layers read the same input: where all of them are changed alike, one layer does for all."""

    layers_of_one_input: tuple[str, ...]

    def join(self, joined: nn.Module) -> None:
        """Take the layer that gives the outputs of `layers_of_one_input` side by side, in place of them."""
        ...


class PlanError(Exception):
    """A variant that cannot be made."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def probe(device: torch.device) -> tuple[list[Candidate], list[str]]:
    """Return what computes rightly on this device, and for each candidate that does not why; tried, not assumed."""
    why_not = _why_not_int8(device)
    if why_not:
        return [], [f"int8_dynamic onednn: {why_not}", *_NOT_BUILT]
    return [_INT8], list(_NOT_BUILT)


def _why_not_int8(device: torch.device) -> str:
    if device.type != "cpu":
        return f"works on the CPU only, not on {device.type}"
    linear = nn.Linear(_PROBE_WIDTH, _PROBE_WIDTH)
    x = torch.linspace(-1.0, 1.0, 4 * _PROBE_WIDTH).view(4, _PROBE_WIDTH)
    try:
        with torch.inference_mode():
            exact, found = linear(x), Int8Linear(linear)(x)
    except (AttributeError, RuntimeError) as error:  # an operator that this build of torch lacks, or no kernel
        return type(error).__name__
    return "computes wrongly here" if float((found - exact).norm() / exact.norm()) > _PROBE_ERROR else ""


def linear_layers(module: nn.Module) -> dict[str, nn.Linear]:
    """Return the plain linear layers by path; other subclasses have arithmetic of their own and are left alone."""
    return {name: layer for name, layer in module.named_modules() if type(layer) in (nn.Linear, PackedLinear)}


def layer_facts(module: nn.Module, candidates: Sequence[Candidate]) -> list[LayerFacts]:
    """Return what a planner needs to know of each layer; those that may become one layer are of one kind."""
    joined = {name: path for path, _, names in _joinable(module) for name in names}
    return [
        LayerFacts(
            name=name,
            kind=kind_of(joined.get(name, name)),
            rows_in=layer.in_features,
            rows_out=layer.out_features,
            weight_bytes=layer.weight.nbytes,
            formats=list(candidates) if layer.weight.dtype == torch.float32 else [],
        )
        for name, layer in linear_layers(module).items()
    ]


def change_layers(module: nn.Module, plan: Sequence[LayerChange], candidates: Sequence[Candidate]) -> int:
    """Replace the planned layers in this tree; returns how many.

    Raises:
        PlanError: UnknownLayer, BackendMissing or FormatUnsupported; the tree may be half changed, throw it away.
    """
    layers = linear_layers(module)
    planned: dict[str, nn.Linear] = {}
    for change in plan:
        layer = layers.get(change.layer)
        if layer is None:
            raise PlanError("UnknownLayer", f"the model has no linear layer {change.layer!r}")
        if Candidate(change.format, change.backend) not in candidates:
            known = any(candidate.backend == change.backend for candidate in candidates)
            reason: RefusalReason = "FormatUnsupported" if known else "BackendMissing"
            raise PlanError(reason, f"{change.format} by {change.backend} does not work on this device")
        planned[change.layer] = layer
    count = len(planned)
    for _, parent, names in _joinable(module):
        if planned.keys() >= set(names):
            parent.join(Int8Linear(*(planned.pop(name) for name in names)))
    for name, layer in planned.items():
        module.set_submodule(name, Int8Linear(layer))
    return count


def _joinable(module: nn.Module) -> list[tuple[str, JoinsLayers, list[str]]]:
    """Return path and module of those that join layers, and of each the paths of those layers."""
    return [
        (path, parent, [f"{path}.{name}".removeprefix(".") for name in parent.layers_of_one_input])
        for path, parent in module.named_modules()
        if isinstance(parent, JoinsLayers)
    ]
