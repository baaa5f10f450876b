"""A second module tree on the same tensors, and the buffers that cannot be shared because a pass changes them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection

from torch import Tensor, nn


def share_clone(module: nn.Module, own_buffers: Collection[str] = ()) -> nn.Module:
    """Return a copy of the tree that shares every parameter and buffer, except the buffers named, which are copied."""
    shared: list[Tensor] = list(module.parameters())
    shared += [buffer for name, buffer in module.named_buffers() if name not in own_buffers]
    return copy.deepcopy(module, memo={id(tensor): tensor for tensor in shared})


def changing_buffers(module: nn.Module, run: Callable[[nn.Module], object]) -> list[str]:
    """Return the names of the buffers that `run` changes, tried on a clone with buffers of its own.

    A buffer counts as changed when it was written to or replaced; torch counts writes in `_version`.
    """
    names = [name for name, _ in module.named_buffers()]
    trial = share_clone(module, names)
    before = {name: (buffer, buffer._version) for name, buffer in trial.named_buffers()}
    run(trial)
    after = dict(trial.named_buffers())
    return [
        name
        for name, (buffer, version) in before.items()
        if after.get(name) is not buffer or buffer._version != version
    ]
