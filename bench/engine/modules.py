"""The trivial and the paced model as Trimtab serves them; the arithmetic is that of servers/workload.py."""

from __future__ import annotations

import time
from collections.abc import Mapping

from torch import Tensor, nn

from bench.engine.servers.workload import PACED_BASE_SECONDS, PACED_ROW_SECONDS, VECTOR
from trimtab_engine.model_api import TensorSpec


class _AddOne(nn.Module):
    inputs = (TensorSpec("input", "float32", (VECTOR,)),)
    outputs = (TensorSpec("output", "float32", (VECTOR,)),)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"output": inputs["input"] + 1}


class _Paced(_AddOne):
    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        time.sleep(PACED_BASE_SECONDS + PACED_ROW_SECONDS * len(inputs["input"]))
        return super().forward(inputs)


def trivial() -> nn.Module:
    """Return the model that adds one."""
    return _AddOne()


def paced() -> nn.Module:
    """Return the model that sleeps 4 ms and 0.4 ms for each row, then adds one: an emulated device."""
    return _Paced()
