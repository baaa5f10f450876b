"""Which layers of a module tree a plan may change, in which formats this device computes, and the change itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from trimtab_engine.variant_messages import Candidate, LayerChange, LayerFacts, RefusalReason
from trimtab_engine.variants.layer_costs import kind_of
from trimtab_engine.worker.cublas_linear import CublasFloat8Linear, CublasInt8Linear
from trimtab_engine.worker.int8_linear import Int8Linear
from trimtab_engine.worker.packed_linear import PackedLinear

_PROBE_WIDTH = 64
_PROBE_ERROR = 0.05
_NOT_BUILT = tuple(
    f"{format_} torchao: not built, the engine comes without torchao"
    for format_ in ("int8_weight_only", "int4_weight_only")
)

EightBitLinear = Int8Linear | CublasInt8Linear | CublasFloat8Linear
_KERNELS: Mapping[Candidate, tuple[str, type[EightBitLinear]]] = {
    Candidate("int8_dynamic", "onednn"): ("cpu", Int8Linear),
    Candidate("int8_dynamic", "cublas"): ("cuda", CublasInt8Linear),
    Candidate("float8_dynamic", "cublas"): ("cuda", CublasFloat8Linear),
}
"""The kind of device that each works on, and the layer that computes it."""


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
    why_not = {candidate: _why_not(candidate, device) for candidate in _KERNELS}
    refused = [f"{candidate.format} {candidate.backend}: {why}" for candidate, why in why_not.items() if why]
    return [candidate for candidate, why in why_not.items() if not why], [*refused, *_NOT_BUILT]


def _why_not(candidate: Candidate, device: torch.device) -> str:
    device_type, kernel = _KERNELS[candidate]
    if device.type != device_type:
        return f"works on {device_type} only, not on {device.type}"
    linear = nn.Linear(_PROBE_WIDTH, _PROBE_WIDTH, device=device)
    x = torch.linspace(-1.0, 1.0, 4 * _PROBE_WIDTH, device=device).view(4, _PROBE_WIDTH)
    try:
        with torch.inference_mode():
            exact, found = linear(x), kernel(linear)(x)
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
    planned: dict[str, type[EightBitLinear]] = {}
    for change in plan:
        if change.layer not in layers:
            raise PlanError("UnknownLayer", f"the model has no linear layer {change.layer!r}")
        candidate = Candidate(change.format, change.backend)
        if candidate not in candidates:
            known = any(each.backend == change.backend for each in candidates)
            reason: RefusalReason = "FormatUnsupported" if known else "BackendMissing"
            raise PlanError(reason, f"{change.format} by {change.backend} does not work on this device")
        planned[change.layer] = _KERNELS[candidate][1]
    count = len(planned)
    for _, parent, names in _joinable(module):
        kernels = {planned.get(name) for name in names}
        if len(kernels) == 1 and (kernel := kernels.pop()) is not None:
            parent.join(kernel(*(layers[name] for name in names)))
            for name in names:
                del planned[name]
    for name, kernel in planned.items():
        module.set_submodule(name, kernel(layers[name]))
    return count


def _joinable(module: nn.Module) -> list[tuple[str, JoinsLayers, list[str]]]:
    """Return path and module of those that join layers, and of each the paths of those layers."""
    return [
        (path, parent, [f"{path}.{name}".removeprefix(".") for name in parent.layers_of_one_input])
        for path, parent in module.named_modules()
        if isinstance(parent, JoinsLayers)
    ]
