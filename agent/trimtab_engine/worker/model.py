"""The model of a worker: loaded from safetensors, encoder plus pooling, numpy in and out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.worker.bert import bert_shape, load_bert


class Encoder(Protocol):
    """Hidden states [rows, tokens, width] of ids and boolean mask [rows, tokens]."""

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the encoder."""
        ...


class EmbeddingModel:
    """Token ids to embeddings on one device."""

    def __init__(self, encoder: Encoder, description: ModelDescription, device: torch.device) -> None:
        self._encoder = encoder
        self._description = description
        self.device = device

    def embed(self, ids: NDArray[np.int32], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings [rows, width]; the arrays are copied before anything else, so shared memory may be reused."""
        with torch.inference_mode():
            id_tensor = torch.from_numpy(ids.astype(np.int64)).to(self.device)
            mask_tensor = torch.from_numpy(mask.astype(np.bool_)).to(self.device)
            pooled = self._pool(self._encoder(id_tensor, mask_tensor).float(), mask_tensor)
            if self._description.normalize:
                pooled = functional.normalize(pooled, p=2.0, dim=1)
            embeddings: NDArray[np.float32] = pooled.cpu().numpy()
            return embeddings

    def _pool(self, hidden: Tensor, mask: Tensor) -> Tensor:
        if self._description.pooling == "cls":
            return hidden[:, 0]
        counted = mask[:, :, None]
        if self._description.pooling == "max":
            return hidden.masked_fill(~counted, float("-inf")).amax(dim=1)
        weights = counted.to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def load_model(description: ModelDescription, device: str) -> EmbeddingModel:
    """Load the directory onto the device; `auto` takes the first GPU that torch can use, else the CPU.

    Raises:
        OSError, RuntimeError, ValueError: files or weights do not fit together, or there is no such device.
    """
    name = device if device != "auto" else ("cuda:0" if torch.cuda.is_available() else "cpu")
    place = torch.device(name)
    directory = Path(description.directory)
    config = json.loads((directory / "config.json").read_text())
    shape = bert_shape(config)
    weights = directory / "model.safetensors"
    if shape is None or not weights.is_file():
        return EmbeddingModel(_transformers_encoder(directory, place), description, place)
    from safetensors.torch import load_file  # noqa: PLC0415  only this path needs it

    return EmbeddingModel(load_bert(shape, load_file(weights)).eval().to(place), description, place)


def _transformers_encoder(directory: Path, place: torch.device) -> Encoder:
    from transformers import AutoModel  # noqa: PLC0415  costs seconds of CPU; only other architectures pay them

    model: Any = AutoModel.from_pretrained(
        str(directory), local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
    )
    model.eval().to(place)

    def encode(ids: Tensor, mask: Tensor) -> Tensor:
        hidden: Tensor = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return hidden

    return encode
