"""The small messages between front and worker; tensors never travel here. One packet is one message."""

from __future__ import annotations

from typing import Literal

import msgspec

from trimtab_engine.model_directory import ModelDescription
from trimtab_engine.settings import Fault
from trimtab_engine.slots import SlotLayout

MAX_PACKET_BYTES = 65536

FailureKind = Literal["out_of_memory", "model_error"]


class WorkerConfig(msgspec.Struct, frozen=True):
    """Everything that a worker is started with, as its one argument."""

    description: ModelDescription
    device: str  # auto | cpu | cuda:N
    torch_threads: int
    layout: SlotLayout
    control_descriptor: int
    memory_descriptor: int
    front_pid: int
    fault: Fault | None


class RunBatch(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: the slot holds a batch of this shape."""

    batch: int
    rows: int
    tokens: int


class ProfileModel(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: time the layers over `passes` passes of the batch in the slot; nothing is answered from it."""

    request: int
    batch: RunBatch
    passes: int


class WorkerReady(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the model is loaded and warm."""

    device: str
    torch: str
    load_seconds: float


class BatchDone(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the slot holds the answers, except for the rows that are not finite."""

    batch: int
    seconds: float
    bad_rows: list[int]


class BatchFailed(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the pass failed; the worker lives on."""

    batch: int
    seconds: float
    kind: FailureKind
    error: str


FromWorker = WorkerReady | BatchDone | BatchFailed

_encoder = msgspec.msgpack.Encoder()
_run_batch = msgspec.msgpack.Decoder(RunBatch)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: RunBatch | FromWorker) -> bytes:
    """Return a message as one packet."""
    return _encoder.encode(message)


def decode_for_worker(packet: bytes) -> RunBatch:
    """Read what the front sent."""
    return _run_batch.decode(packet)


def decode_for_front(packet: bytes) -> FromWorker:
    """Read what the worker sent."""
    return _from_worker.decode(packet)
