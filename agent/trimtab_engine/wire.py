"""The small messages between front and worker; tensors never travel here. One packet is one message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

from trimtab_engine.memory.measured import PassMeasured
from trimtab_engine.model_directory import Description
from trimtab_engine.settings import Fault
from trimtab_engine.signature import Signature
from trimtab_engine.slots import TensorPlace
from trimtab_engine.variant_messages import (
    BuildVariant,
    DropVariant,
    LayersListed,
    ListLayers,
    ModelProfiled,
    ProfileModel,
    VariantBuilt,
    VariantDropped,
    VariantRefused,
)

MAX_PACKET_BYTES = 65536  # what is longer arrives cut off

S = TypeVar("S", bound=msgspec.Struct)

FailureKind = Literal["out_of_memory", "model_error"]


class WorkerConfig(msgspec.Struct, frozen=True):
    """Everything that a worker is started with, as its one argument."""

    models: list[Description]
    device: str  # auto | cpu | cuda:N
    torch_threads: int
    control_descriptor: int
    memory_descriptor: int
    front_pid: int
    fault: Fault | None
    device_memory_fraction: float


class RunBatch(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: the slot holds a batch for this variant of a model; `inputs` are in the declared order."""

    batch: int
    model: str
    variant: str
    inputs: list[TensorPlace]
    measure: bool = False  # the memory that the pass takes


class LoadedModel(msgspec.Struct, frozen=True):
    """A model that a worker has loaded, and what it takes and gives."""

    name: str
    signature: Signature


class WorkerReady(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the models are loaded and warm."""

    device: str
    torch: str
    load_seconds: float
    models: list[LoadedModel]


class BatchDone(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the slot holds the outputs, in the declared order; `bad_rows` are those that are not finite.

    `seconds` is all the time from the batch's receipt until its outputs are in the slot and looked through.
    """

    batch: int
    seconds: float
    outputs: list[TensorPlace]
    bad_rows: list[int]
    copy_seconds: float = 0.0  # moving the answers into the slot
    measured: PassMeasured | None = None
    compile_seconds: float | None = None  # torch.compile during the pass; None where nothing uses it


class BatchFailed(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the pass failed; the worker lives on."""

    batch: int
    seconds: float
    kind: FailureKind
    error: str


ToWorker = RunBatch | ListLayers | ProfileModel | BuildVariant | DropVariant
FromWorker = (
    WorkerReady
    | BatchDone
    | BatchFailed
    | LayersListed
    | ModelProfiled
    | VariantBuilt
    | VariantRefused
    | VariantDropped
)

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as one packet."""
    return _encoder.encode(message)


def in_one_packet(parts: Iterable[S], limit_bytes: int) -> list[S]:
    """Return the parts of a message, or as many of the first as take `limit_bytes` of its packet."""
    taken: list[S] = []
    room_bytes = limit_bytes
    for part in parts:
        room_bytes -= len(encode(part))
        if room_bytes < 0:
            break
        taken.append(part)
    return taken


def decode_for_worker(packet: bytes) -> ToWorker:
    """Read what the front sent."""
    return _to_worker.decode(packet)


def decode_for_front(packet: bytes) -> FromWorker:
    """Read what the worker sent."""
    return _from_worker.decode(packet)
