"""The same model in each number format: the engine's own pass in float32 and others beside it.

`int8` and `fp8` are the engine's own plans with every linear layer changed; no gate chose them. bf16 is no format of
the engine: it stands here because every published speed-up of 8 bits is over it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from bench.engine.compiled import Batch
from bench.gpu.ceilings import in_tf32
from bench.gpu.work import Numbers
from bench.gpu.workloads import Workload
from trimtab_engine.variant_messages import Candidate, LayerChange
from trimtab_engine.worker.layers import change_layers, linear_layers
from trimtab_engine.worker.model import Arrays, EmbeddingModel
from trimtab_engine.worker.share_clone import share_clone

EAGER, AGAIN = "eager", "eager again"
Pass = Callable[[Batch], NDArray[Any]]

NUMBERS: Mapping[str, Numbers] = {
    EAGER: Numbers("fp32", "fp32", 4, 4),
    "tf32": Numbers("tf32", "fp32", 4, 4),
    "bf16": Numbers("bf16", "bf16", 2, 2),
    "int8": Numbers("int8", "fp32", 4, 1),
    "fp8": Numbers("fp8", "fp32", 4, 1),
    "bf16 + fp8": Numbers("fp8", "bf16", 2, 1),
}
_INT8, _FP8 = Candidate("int8_dynamic", "cublas"), Candidate("float8_dynamic", "cublas")


def contenders(workload: Workload) -> dict[str, Pass]:
    """Return how each computes a batch to embeddings [rows, width]."""
    base = workload.base
    half = base.with_module(copy.deepcopy(base.module).bfloat16())
    return {
        EAGER: _pass(base.run),
        AGAIN: _pass(base.run),
        "tf32": _pass(in_tf32(base.run)),
        "bf16": _pass(half.run),
        "int8": _pass(_changed(base, _INT8).run),
        "fp8": _pass(_changed(base, _FP8).run),
        "bf16 + fp8": _pass(_changed(half, _FP8).run),
    }


def _pass(run: Callable[[Batch], Arrays]) -> Pass:
    return lambda batch: run(batch)["embedding"]


def _changed(model: EmbeddingModel, candidate: Candidate) -> EmbeddingModel:
    tree = share_clone(model.module)
    plan = [LayerChange(name, candidate.format, candidate.backend) for name in linear_layers(tree)]
    with torch.inference_mode():
        change_layers(tree, plan, [candidate])
    return model.with_module(tree)
