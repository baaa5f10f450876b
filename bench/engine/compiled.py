"""`python -m bench.engine.compiled BATCH`: MiniLM of transformers, compiled, beside the engine's own fp32, eager.

Prints the ratio of their speeds and the mean cosine of their answers as JSON. The lengths are those of the corpus, so
the shapes are dynamic, as in serving. The engine's encoder leaves padding out, which no one graph can do.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from bench.engine.corpus import MINILM, MODEL, texts
from bench.engine.statistics import paired_ratio
from trimtab_engine.model_directory import describe_directory
from trimtab_engine.worker.model import Model, load_model

PAIRS = 60
WARM_UP_PASSES = 6
Batch = dict[str, NDArray[Any]]
Compute = Callable[[Batch], NDArray[np.float32]]
"""A batch to embeddings [rows, width]."""


class Embedding(nn.Module):
    """ids and mask [rows, tokens] to embeddings [rows, width], as transformers computes them: mean, length one."""

    def __init__(self, attention: str) -> None:
        """`attention`: the implementation of transformers, such as `eager` or `sdpa`."""
        super().__init__()
        directory = describe_directory(MINILM, MODEL).directory
        self.encoder = AutoModel.from_pretrained(directory, attn_implementation=attention)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].to(hidden.dtype)
        pooled: Tensor = nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1))
        return pooled


def main() -> int:
    """Time both in turns on the same batches."""
    torch.set_num_threads(1)
    eager = engine_model()
    compiled = torch.compile(Embedding("sdpa").eval(), dynamic=True)

    def run(batch: Batch) -> np.ndarray:
        with torch.inference_mode():
            ids, mask = (torch.from_numpy(batch[name].astype(np.int64)) for name in ("ids", "mask"))
            return np.asarray(compiled(ids, mask).numpy(), np.float32)

    print(beside(lambda batch: eager.run(batch)["embedding"], run, batches_of(int(sys.argv[1]))))
    return 0


def beside(eager: Compute, other: Compute, batches: Sequence[Batch]) -> str:
    """Return how much faster the other is, and its mean cosine to the first, as JSON; the first batches warm up."""
    timed = [(seconds_of(eager, batch), seconds_of(other, batch)) for batch in batches][WARM_UP_PASSES:]
    cosine = np.mean([(eager(batch) * other(batch)).sum(1).mean() for batch in batches[WARM_UP_PASSES:][:10]])
    ratio = paired_ratio([one for one, _ in timed], [another for _, another in timed])
    return json.dumps({"ratio": asdict(ratio), "cosine": float(cosine)})


def engine_model() -> Model:
    """Return MiniLM as the engine loads it."""
    return load_model(describe_directory(MINILM, MODEL), torch.device("cpu"))


def batches_of(size: int) -> list[Batch]:
    """Return the batches of the corpus that are timed, the warm-up's first."""
    description = describe_directory(MINILM, MODEL)
    tokenizer = Tokenizer.from_file(f"{description.directory}/tokenizer.json")
    tokenizer.enable_truncation(max_length=description.max_tokens)
    tokenizer.enable_padding(pad_id=0)
    rows = texts("minilm")
    found: list[Batch] = []
    for number in range(WARM_UP_PASSES + PAIRS):
        start = number * size % (len(rows) - size)
        encodings = tokenizer.encode_batch_fast(rows[start : start + size])
        ids = np.array([encoding.ids for encoding in encodings], np.int32)
        found.append({"ids": ids, "mask": np.array([each.attention_mask for each in encodings], np.uint8)})
    return found


def seconds_of(run: Compute, batch: Batch) -> float:
    """Return how long a batch takes once."""
    began = time.perf_counter()
    run(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
