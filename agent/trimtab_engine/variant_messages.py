"""What front and worker say to each other about the variants of a model: layers, their costs, and builds.

A variant is another module tree of the same model, or a declared model in its place, under a name; "base" is the
original and always there. The front sends one of these only while no batch is with the worker, and waits for its one
answer.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from trimtab_engine.model_directory import Description

Format = Literal["int8_dynamic", "int8_weight_only", "float8_dynamic", "int4_weight_only"]
Backend = Literal["onednn", "cublas", "torchao"]
RefusalReason = Literal[
    "UnknownModel",
    "UnknownVariant",
    "NameTaken",
    "TooManyVariants",
    "NoModule",
    "UnknownLayer",
    "NoLayersChanged",
    "BackendMissing",
    "FormatUnsupported",
    "NotFinite",
    "MemoryShort",
    "BuildFailed",
    "OutputsDiffer",
    "ProfileFailed",
]


class Candidate(msgspec.Struct, frozen=True, array_like=True):
    """A number format and the library that computes in it, found to work on this device."""

    format: Format
    backend: Backend


class LayerFacts(msgspec.Struct, frozen=True, array_like=True):
    """One layer that a plan may change: its weight is [rows_out, rows_in]."""

    name: str
    kind: str  # the path without its numbers: the layers of one kind behave alike
    rows_in: int
    rows_out: int
    weight_bytes: int
    formats: list[Candidate]


class LayerChange(msgspec.Struct, frozen=True, array_like=True):
    """One line of a plan."""

    layer: str
    format: Format
    backend: Backend


class ListLayers(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: ask which layers a plan can change, and how."""

    request: int
    model: str


class LayersListed(msgspec.Struct, frozen=True, tag=True):
    """Worker to front; `unavailable` says why each other candidate does not work here ("int8_dynamic onednn: ...")."""

    request: int
    layers: list[LayerFacts]
    backends: list[Candidate]
    unavailable: list[str]


class RowBytes(msgspec.Struct, frozen=True, array_like=True):
    """One input: the bytes of each tensor in the declared order, of one value where a whole row is of it."""

    length: int
    tensors: list[bytes]


class ProfileModel(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: ask where one pass of the original spends its time; without rows on a row of ones."""

    request: int
    model: str
    rows: list[RowBytes]


class LayerCost(msgspec.Struct, frozen=True, array_like=True):
    """Layers of one kind, as in `LayerFacts`: their share of a pass's time, and of weights and what it allocates."""

    kind: str
    time_share: float
    memory_share: float


class ModelProfiled(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the kinds of layers, the slowest first; the shares add up to 1."""

    request: int
    layers: list[LayerCost]


class BuildVariant(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: make this tree from the float original by a plan, or load a declared model in its place.

    `memory_limit_bytes` is what it may take beside what the process holds already; 0 sets no limit.
    """

    request: int
    model: str
    variant: str
    plan: list[LayerChange]
    declared: Description | None = None
    memory_limit_bytes: int = 0


class VariantBuilt(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the variant is warm. `extra_bytes` is what it takes beside the original, measured."""

    request: int
    variant: str
    changed_layers: int
    weight_bytes: int
    extra_bytes: int
    quantized_share: float  # of the multiplications in linear layers
    seconds: float


class VariantRefused(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: there is no such variant, and nothing else has changed."""

    request: int
    variant: str
    reason: RefusalReason
    message: str


class DropVariant(msgspec.Struct, frozen=True, tag=True):
    """Front to worker: forget this variant. "base" is refused."""

    request: int
    model: str
    variant: str


class VariantDropped(msgspec.Struct, frozen=True, tag=True):
    """Worker to front: the variant is gone, its memory given back."""

    request: int
    variant: str
    freed_bytes: int
