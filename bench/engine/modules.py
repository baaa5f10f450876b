"""Models as Trimtab serves them: the trivial and the paced one of servers/workload.py, and one that must be caught."""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.engine.corpus import IN_PLACE_SIGN
from bench.engine.servers.workload import PACED_BASE_SECONDS, PACED_ROW_SECONDS, VECTOR
from trimtab_engine.model_api import TensorSpec

IN_PLACE_WIDTH = 16


class _AddOne(nn.Module):
    inputs = (TensorSpec("input", "float32", (VECTOR,)),)
    outputs = (TensorSpec("output", "float32", (VECTOR,)),)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"output": inputs["input"] + 1}


class _Paced(_AddOne):
    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        time.sleep(PACED_BASE_SECONDS + PACED_ROW_SECONDS * len(inputs["input"]))
        return super().forward(inputs)


class _ChangesInPlace(nn.Module):
    """Rounds its own weights to 8 bits, as an in-place `quantize_` does, when a row asks for it; no version says so."""

    inputs = (TensorSpec("input", "float32", (VECTOR,)),)
    outputs = (TensorSpec("output", "float32", (IN_PLACE_WIDTH,)),)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.linear = nn.Linear(VECTOR, IN_PLACE_WIDTH).requires_grad_(False)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = inputs["input"]
        if bool((rows[:, 0] == IN_PLACE_SIGN).any()):
            weight = self.linear.weight
            step = weight.abs().max() / 127
            weight.copy_(torch.round(weight / step) * step)
        return {"output": self.linear(rows)}


def changing_in_place() -> nn.Module:
    """Return the model that the check of answers must catch."""
    return _ChangesInPlace()


def trivial() -> nn.Module:
    """Return the model that adds one."""
    return _AddOne()


def paced() -> nn.Module:
    """Return the model that sleeps 4 ms and 0.4 ms for each row, then adds one: an emulated device."""
    return _Paced()
