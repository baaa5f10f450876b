"""A model in a worker: named arrays in and out, on one device; most are around a module tree, for variants."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.signature import Signature, text_signature
from trimtab_engine.worker.bert import bert_shape, load_bert

Arrays = Mapping[str, NDArray[Any]]


class Model(Protocol):
    """What a worker runs."""

    signature: Signature
    device: torch.device

    def run(self, inputs: Arrays) -> Arrays:
        """Compute a batch. The inputs lie in shared memory: they are copied before anything else."""
        ...


@runtime_checkable
class ModelWithTree(Model, Protocol):
    """A model around a module tree, from whose layers variants can be made."""

    module: nn.Module

    def with_module(self, module: nn.Module) -> Self:
        """Return the same model around another tree."""
        ...


class EmbeddingModel:
    """Token ids to embeddings: encoder (hidden states [rows, tokens, width] of ids and boolean mask) plus pooling."""

    def __init__(self, module: nn.Module, description: ModelDescription, device: torch.device) -> None:
        self.module = module
        self.signature = text_signature(description.width, description.max_tokens)
        self.device = device
        self._description = description

    def run(self, inputs: Arrays) -> Arrays:
        """Embeddings [rows, width] of ids and mask [rows, tokens]."""
        with torch.inference_mode():
            ids = torch.from_numpy(inputs["ids"].astype(np.int64)).to(self.device)
            mask = torch.from_numpy(inputs["mask"].astype(np.bool_)).to(self.device)
            pooled = self._pool(self.module(ids, mask).float(), mask)
            if self._description.normalize:
                pooled = functional.normalize(pooled, p=2.0, dim=1)
            return {"embedding": pooled.cpu().numpy()}

    def with_module(self, module: nn.Module) -> EmbeddingModel:
        """Return the same model around another encoder."""
        return EmbeddingModel(module, self._description, self.device)

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self._description.pooling == "cls":
            return hidden[:, 0]
        counted = mask[:, :, None]
        if self._description.pooling == "max":
            return hidden.masked_fill(~counted, float("-inf")).amax(dim=1)
        weights = counted.to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def device_named(name: str) -> torch.device:
    """Return a device; `auto` is the first GPU that torch can use, else the CPU."""
    return torch.device(name if name != "auto" else ("cuda:0" if torch.cuda.is_available() else "cpu"))


def load_model(description: ModelDescription, device: torch.device) -> Model:
    """Load the directory onto the device.

    Raises:
        OSError, RuntimeError, ValueError: files or weights do not fit together, or there is no such device.
    """
    directory = Path(description.directory)
    config = json.loads((directory / "config.json").read_text())
    shape = bert_shape(config)
    weights = directory / "model.safetensors"
    if shape is None or not weights.is_file():
        return EmbeddingModel(_TransformersEncoder(directory).eval().to(device), description, device)
    from safetensors.torch import load_file  # noqa: PLC0415  only this path needs it

    return EmbeddingModel(load_bert(shape, load_file(weights)).eval().to(device), description, device)


class _TransformersEncoder(nn.Module):
    """Any other encoder, as transformers computes it."""

    def __init__(self, directory: Path) -> None:
        from transformers import AutoModel  # noqa: PLC0415  costs seconds of CPU; only other architectures pay them

        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            str(directory), local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = self.encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return hidden
