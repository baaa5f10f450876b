"""What is computed: MiniLM on sentences, and a BERT of the large size on long inputs, both as the engine's worker does.

The large one has random weights: its speed is that of a trained one, its answers mean nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertModel

from bench.engine.compiled import Batch, batches_of
from bench.engine.corpus import MINILM, MODEL
from bench.gpu.ceilings import DEVICE
from bench.gpu.work import Tokens
from trimtab_engine.model_directory import ModelDescription, describe_directory
from trimtab_engine.worker.bert import BertShape, bert_shape, load_bert
from trimtab_engine.worker.model import EmbeddingModel, load_model

SENTENCES, SENTENCE_BATCHES = 32, 8
LONG_ROWS, LONG_TOKENS = 16, 512


@dataclass(frozen=True)
class Workload:
    """A model on the GPU and the batches that it computes in turn; `trained`: its answers mean something."""

    name: str
    base: EmbeddingModel
    shape: BertShape
    batches: list[Batch]
    trained: bool

    def tokens(self) -> list[Tokens]:
        """Return the sizes of the batches."""
        return [Tokens(int(batch["mask"].sum()), *batch["mask"].shape) for batch in self.batches]


def minilm() -> Workload:
    """Return MiniLM on batches of 32 sentences."""
    description = describe_directory(MINILM, MODEL)
    shape = bert_shape(json.loads((Path(description.directory) / "config.json").read_text()))
    base = load_model(description, DEVICE)
    assert shape is not None
    assert isinstance(base, EmbeddingModel)
    return Workload(f"MiniLM, {SENTENCES} sentences", base, shape, batches_of(SENTENCES)[:SENTENCE_BATCHES], True)


def bert_large() -> Workload:
    """Return a BERT of the large size on 16 inputs of 512 tokens."""
    torch.manual_seed(1)
    config = BertConfig(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
    shape = bert_shape(config.to_dict())
    assert shape is not None
    with DEVICE:
        weights = BertModel(config).state_dict()
    description = ModelDescription(
        name=MODEL, version="1", directory="", model_type="bert", vocabulary_size=shape.vocabulary, width=shape.width,
        max_tokens=shape.positions, pooling="mean", normalize=True,
    )  # fmt: skip
    base = EmbeddingModel(load_bert(shape, weights).eval().to(DEVICE), description, DEVICE)
    ids = np.random.default_rng(1).integers(1000, 20_000, (LONG_ROWS, LONG_TOKENS)).astype(np.int32)
    batch: Batch = {"ids": ids, "mask": np.ones(ids.shape, np.uint8)}
    return Workload(f"BERT-large shape, {LONG_ROWS} x {LONG_TOKENS} tokens", base, shape, [batch], False)
