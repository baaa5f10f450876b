"""The state of replicas that batch, as arrays: a row for each pod and for each request."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from trimtab_operator.model.arrays import Floats
from trimtab_replay.serving import ServingModel

Ints: TypeAlias = npt.NDArray[np.int64]
NONE = -1


class Speeds(NamedTuple):
    """A serving model, as numbers."""

    step_seconds: float
    sequence_seconds: float
    prompt_token_seconds: float
    first_token_steps: float
    overhead_seconds: float
    max_sequences: int
    kv_tokens: float


class Requests(NamedTuple):
    """All requests, in the order in which they came, and what became of each; NaN: not yet."""

    arrived: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    begun: Floats
    first_token: Floats
    finished: Floats
    pod: Ints
    behind: Ints  # the request after it in its pod's queue
    ended: Ints  # requests in the order in which they ended


class Pods(NamedTuple):
    """The batches of all pods. `due_` is a heap: what waits for its first or its last token, the next one first."""

    now: Floats
    change: Floats  # when its batch changes next
    tokens: Floats
    kv_tokens: Floats
    reading: Ints  # the request whose prompt is read
    read_at: Floats
    decoding: Ints
    due_tokens: Floats
    due_request: Ints
    outstanding: Ints  # requests that wait, are read or decode
    waiting: Ints
    queue_head: Ints
    queue_tail: Ints


class Progress(NamedTuple):
    """How far a run is: one number each, in arrays so that compiled code can count."""

    next_request: Ints
    dispatched: Ints
    ended: Ints


class Batches(NamedTuple):
    """All of it."""

    model: Speeds
    requests: Requests
    pods: Pods
    progress: Progress


def speeds(model: ServingModel) -> Speeds:
    """Return the numbers of a serving model."""
    return Speeds(
        float(model.step_seconds),
        float(model.sequence_seconds),
        float(model.prompt_token_seconds),
        float(model.first_token_steps),
        float(model.overhead_seconds),
        int(model.max_sequences),
        float(model.kv_tokens),
    )


def requests(arrived: Floats, prompt_tokens: Floats, output_tokens: Floats) -> Requests:
    """Return requests of which nothing has become yet."""
    count = len(arrived)
    unknown = [np.full(count, np.nan) for _ in range(3)]
    return Requests(arrived, prompt_tokens, output_tokens, *unknown, *(np.full(count, NONE) for _ in range(3)))


def pods(count: int, max_sequences: int) -> Pods:
    """Return so many pods that have nothing to do."""
    due = (count, max_sequences)
    return Pods(
        now=np.zeros(count),
        change=np.full(count, np.inf),
        tokens=np.zeros(count),
        kv_tokens=np.zeros(count),
        reading=np.full(count, NONE),
        read_at=np.zeros(count),
        decoding=np.zeros(count, np.int64),
        due_tokens=np.zeros(due),
        due_request=np.zeros(due, np.int64),
        outstanding=np.zeros(count, np.int64),
        waiting=np.zeros(count, np.int64),
        queue_head=np.full(count, NONE),
        queue_tail=np.full(count, NONE),
    )


def grown(batches: Batches) -> Batches:
    """Return the same batches with as many rows again for new pods."""
    more = pods(len(batches.pods.now), batches.model.max_sequences)
    joined = Pods(*(np.concatenate(both) for both in zip(batches.pods, more, strict=True)))
    return batches._replace(pods=joined)


def batches(model: ServingModel, every: Requests, rows: int) -> Batches:
    """Return batches of so many pods at their beginning."""
    progress = Progress(*(np.zeros(1, np.int64) for _ in range(3)))
    return Batches(speeds(model), every, pods(rows, model.max_sequences), progress)
