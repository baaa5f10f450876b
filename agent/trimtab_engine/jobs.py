"""The nouns of the data path: a request's inputs, its job, the job's items, and their answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab_engine.errors import EngineError

MAX_PRIORITY = 9  # 0 goes first, this last
_EVERY_TOKEN = np.ones((), np.uint8)  # spreads over a whole row


class TokenRow(NamedTuple):
    """One tokenized input. `mask` is None where every token counts."""

    ids: NDArray[np.int32]
    mask: NDArray[np.uint8] | None = None

    @property
    def length(self) -> int:
        """Tokens."""
        return len(self.ids)

    @property
    def tensors(self) -> tuple[NDArray[Any], ...]:
        """What the model takes: ids and mask."""
        return self.ids, _EVERY_TOKEN if self.mask is None else self.mask


class TensorRow(NamedTuple):
    """One input of a model that takes tensors: an array per declared input, in that order, without the batch axis.

    `length` is the size of the axis that is padded, 1 where there is none.
    """

    tensors: tuple[NDArray[Any], ...]
    length: int = 1


Row = TokenRow | TensorRow


class Answer(NamedTuple):
    """What the model gave for one row: its outputs one after another in the declared order, little-endian.

    `length` is the row's own: the size of what was padded, so the tokens of a text. `version` names the model's version
    and variant that computed it.
    """

    data: bytes
    length: int
    version: str


class InferenceInputs(msgspec.Struct, frozen=True):
    """What a request asks for, independent of the protocol it came by. `budget_seconds` None = the default deadline."""

    rows: Sequence[str | Row]
    budget_seconds: float | None
    priority: int


class Job:
    """One inference request in flight; ends exactly once: complete, failed or canceled, then calls `on_end(job)`."""

    __slots__ = (
        "answers",
        "canceled",
        "deadline",
        "ended",
        "enqueued_at",
        "error",
        "hits",
        "longest",
        "missing",
        "on_end",
        "period",
        "priority",
        "received_at",
        "version",
        "waiting",
    )

    def __init__(
        self, size: int, received_at: float, deadline: float, priority: int, on_end: Callable[[Job], None]
    ) -> None:
        self.answers: list[Answer | None] = [None] * size
        self.hits = bytearray(b"m" * size)  # one letter per item: h = from the cache, m = computed, s = shared
        self.missing = size
        self.longest: int | None = None  # length of the longest input, once it is known
        self.waiting = 0  # items that have not entered a batch yet
        self.period: int | None = None  # of the settings that its first batch ran under; None while it was in none
        self.received_at = received_at
        self.enqueued_at = received_at
        self.deadline = deadline
        self.priority = priority
        self.error: EngineError | None = None
        self.version = ""  # of the model and variant in force when the cache was asked; its keys are made with it
        self.canceled = False
        self.ended = False
        self.on_end = on_end

    def answer(self, index: int, answer: Answer) -> None:
        """Store the answer of item `index`; the last one ends the job."""
        if self.ended:
            return
        self.answers[index] = answer
        self.missing -= 1
        if self.missing == 0:
            self.end()

    def fail(self, error: EngineError) -> None:
        """End the job without a result; a job that has ended stays as it is."""
        if not self.ended:
            self.error = error
            self.end()

    def cancel(self) -> None:
        """End the job because nobody waits for it any more."""
        if not self.ended:
            self.canceled = True
            self.end()

    def end(self) -> None:
        """Close the job and tell `on_end`; called once."""
        self.ended = True
        self.on_end(self)


class Item:
    """One input row of a job on its way through queue and batch."""

    __slots__ = ("attempts", "deaths", "enqueued_at", "index", "job", "key", "length", "row")

    def __init__(self, job: Job, index: int, row: Row, key: bytes | None, enqueued_at: float) -> None:
        self.job = job
        self.index = index
        self.row = row
        self.length = row.length  # what a batch pads: tokens of a text, 1 for a row of fixed shape
        self.key = key  # cache key, None where the cache is off
        self.enqueued_at = enqueued_at  # seconds, monotonic
        self.attempts = 0
        self.deaths = 0  # worker deaths that this item was part of


def input_key(model: str, version: str, row: str | Row) -> bytes:
    """16-byte hash of model, version and canonical input; inputs of different kinds never share a key.

    Raises:
        UnicodeEncodeError: the text holds a lone surrogate.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{model}\0{version}\0".encode())
    if isinstance(row, str):
        digest.update(b"t" + row.encode())
    elif isinstance(row, TokenRow):
        digest.update(b"i" + row.ids.tobytes())
        if row.mask is not None:
            digest.update(b"m" + row.mask.tobytes())
    else:
        digest.update(b"r%d" % row.length)  # with it the model's signature fixes every shape
        for tensor in row.tensors:
            digest.update(tensor.tobytes())
    return digest.digest()
