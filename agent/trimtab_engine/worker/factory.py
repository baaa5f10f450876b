"""A model of the user's own, made by the factory that a setting names."""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trimtab_engine.signature import declare
from trimtab_engine.worker.model import Arrays, Model

_ROW_THREADS = 2

RowStep = Callable[[Mapping[str, NDArray[Any]]], Mapping[str, Any]]


def load_own_model(factory: str, device: torch.device) -> Model:
    """Import `module:callable`, call it and read what the object declares.

    Raises:
        ValueError: there is no such callable, or what it returns declares nothing that can be served.
        Exception: whatever module and factory raise.
    """
    module_name, _, name = factory.partition(":")
    sys.path.append(str(Path.cwd()))  # last, so that a file there hides no library
    make = getattr(importlib.import_module(module_name), name, None)
    if not callable(make):
        raise ValueError(f"{factory} names nothing that can be called; accepted is module:factory")
    made = make(device=str(device)) if "device" in inspect.signature(make).parameters else make()
    if not callable(made):
        raise ValueError(f"{factory} returned a {type(made).__name__}; accepted is an object that can be called")
    module = made if isinstance(made, nn.Module) else getattr(made, "module", None)
    return OwnModule(made, module, device) if isinstance(module, nn.Module) else OwnModel(made, device)


class OwnModel:
    """The object that a factory returned, see `model_api.ServedModel`. It is called with numpy arrays."""

    def __init__(self, made: Any, device: torch.device) -> None:
        self.signature = declare(
            getattr(made, "inputs", ()), getattr(made, "outputs", ()), getattr(made, "max_length", None)
        )
        self.device = device
        self._made = made
        self._rows = _RowSteps(getattr(made, "preprocess", None), getattr(made, "postprocess", None))

    def run(self, inputs: Arrays) -> Arrays:
        """Copy, prepare, call, finish."""
        # A model may keep what it is given; the slot's memory is another batch's soon.
        owned = self._rows.before({name: array.copy() for name, array in inputs.items()})
        return self._rows.after(self._call(owned))

    def _call(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        return {name: np.asarray(output) for name, output in self._made(inputs).items()}


class OwnModule(OwnModel):
    """One that is a module or has one. It is called with tensors on the device, under inference mode."""

    def __init__(self, made: Any, module: nn.Module, device: torch.device) -> None:
        super().__init__(made, device)
        self.module = module.eval().to(device)

    def with_module(self, module: nn.Module) -> OwnModule:
        """Return the same model around another tree."""
        if self._made is self.module:
            return OwnModule(module, module, self.device)
        other: Any = copy.copy(self._made)
        other.module = module
        return OwnModule(other, module, self.device)

    def _call(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            outputs = self._made({name: torch.from_numpy(array).to(self.device) for name, array in inputs.items()})
            return {name: output.cpu().numpy() for name, output in outputs.items()}


class _RowSteps:
    """What is done with each row before and after the call, in threads of its own."""

    def __init__(self, before: RowStep | None, after: RowStep | None) -> None:
        self._before, self._after = before, after
        self._threads = ThreadPoolExecutor(_ROW_THREADS, thread_name_prefix="rows") if before or after else None

    def before(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Prepare the inputs of a batch."""
        return self._each(self._before, batch)

    def after(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Finish the outputs of a batch."""
        return self._each(self._after, batch)

    def _each(self, step: RowStep | None, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if step is None or self._threads is None:
            return batch
        rows = [dict(zip(batch, arrays, strict=True)) for arrays in zip(*batch.values(), strict=True)]
        done = list(self._threads.map(step, rows))
        return {name: np.stack([np.asarray(row[name]) for row in done]) for name in done[0]}
