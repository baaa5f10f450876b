"""Where a pass through the original spends its time and memory: a pass under torch's profiler, layer by layer."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.autograd import profiler

from trimtab_api.engine_knobs import BASE_VARIANT
from trimtab_engine.signature import Signature
from trimtab_engine.variant_messages import ModelProfiled, ProfileModel, RowBytes, VariantRefused
from trimtab_engine.variants.layer_costs import by_kind, own_costs
from trimtab_engine.worker.batch import example
from trimtab_engine.worker.model import Arrays, Model, ModelWithTree

_MAX_MODULES = 1024  # those below are part of the module around them
_PREFIX = "trimtab:"

# torch's own profiler library writes lines to standard error, where the log is; it reads this when it is first used.
os.environ.setdefault("KINETO_LOG_LEVEL", "9")


def profile_model(model: Model, request: ProfileModel) -> ModelProfiled | VariantRefused:
    """Run the rows of the request and return each kind of layer's share of time and memory."""
    if not isinstance(model, ModelWithTree):
        return VariantRefused(request.request, BASE_VARIANT, "NoModule", "this kind of model has no layers")
    try:
        inputs = _stacked(model.signature, request.rows) if request.rows else example(model.signature)
        costs = _profiled(model, inputs)
    except Exception as error:  # whatever a model's own code or the profiler raises
        return VariantRefused(request.request, BASE_VARIANT, "ProfileFailed", type(error).__name__)
    return ModelProfiled(request.request, by_kind(costs))


def _stacked(signature: Signature, rows: Sequence[RowBytes]) -> Arrays:
    """Return rows as a batch, padded with zeros to the longest.

    Raises:
        ValueError: a tensor has not the size that the signature says.
    """
    length = max(row.length for row in rows)
    batch: dict[str, NDArray[Any]] = {}
    for column, spec in enumerate(signature.inputs):
        tensors = batch[spec.name] = np.zeros((len(rows), *spec.sized(length)), spec.dtype)
        for index, row in enumerate(rows):
            tensor = np.frombuffer(row.tensors[column], spec.dtype)
            # One value stands for a whole row of it.
            place: tuple[int | slice, ...] = (index, *spec.corner(row.length))
            tensors[place] = tensor if tensor.size == 1 else tensor.reshape(spec.sized(row.length))
    return batch


def _profiled(model: ModelWithTree, inputs: Arrays) -> dict[str, tuple[float, float]]:
    """Return microseconds and bytes by module."""
    on_gpu = model.device.type == "cuda"
    with _marked(model.module):
        _recorded(model, inputs, on_gpu)  # the first pass also pays for the profiler's start: its shares are not told
        events = _recorded(model, inputs, on_gpu)
    marked = [event for event in events if event.key.startswith(_PREFIX)]
    times = {e.key.removeprefix(_PREFIX): e.device_time_total if on_gpu else e.cpu_time_total for e in marked}
    sizes = {e.key.removeprefix(_PREFIX): e.device_memory_usage if on_gpu else e.cpu_memory_usage for e in marked}
    own_times, own_bytes = own_costs(times), own_costs(sizes)
    held = {name: _weight_bytes(layer) for name, layer in model.module.named_modules()}
    return {name: (own_times[name], own_bytes[name] + held.get(name, 0)) for name in own_times}


def _recorded(model: ModelWithTree, inputs: Arrays, on_gpu: bool) -> Any:
    # Not torch.profiler.profile, which wraps this one: it imports the compiler, 150 MB and seconds.
    with profiler.profile(use_device="cuda" if on_gpu else None, profile_memory=True) as profile:
        model.run(inputs)
    return profile.key_averages()


@contextmanager
def _marked(module: nn.Module) -> Iterator[None]:
    """Let each module's calls stand in the profile under its path, for a while."""
    running: list[profiler.record_function] = []
    hooks = []

    def end(*_: Any) -> None:
        running.pop().__exit__(None, None, None)

    def begin(name: str) -> None:
        mark = profiler.record_function(_PREFIX + name)
        mark.__enter__()  # type: ignore[no-untyped-call]
        running.append(mark)

    try:
        for number, (name, layer) in enumerate(module.named_modules()):
            if number < _MAX_MODULES:
                hooks.append(layer.register_forward_pre_hook(lambda *_, name=name: begin(name)))
                hooks.append(layer.register_forward_hook(end, always_call=True))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _weight_bytes(layer: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*layer.parameters(recurse=False), *layer.buffers(recurse=False)])
