"""Checks that an answer belongs to its own input: no mix-up between neighbours of one batch may pass as success."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dev.load.addresses import Target
from dev.load.connection import Answer, ConnectionLostError
from dev.load.errors import LoadError
from dev.load.pool import Pool
from dev.load.requests import Protocol, embedding_in, request_bytes

MAX_VERIFIED_SENTENCES = 5_000

REACHED_WITHIN_SECONDS = 20.0
AGAIN_SECONDS = 0.2

# Cosine between an embedding computed alone and in a batch is above 0.9999; between two sentences it is far lower.
SMALLEST_COSINE = 0.98


@dataclass(frozen=True)
class AnswerCheck:
    """The expected embedding of each sentence; a sentence without one is not judged."""

    protocol: Protocol
    expected: Mapping[str, Sequence[float]]
    smallest_cosine: float = SMALLEST_COSINE

    def accepts(self, sentence: str, body: bytes) -> bool:
        """Whether the answer is the embedding of this sentence."""
        reference = self.expected.get(sentence)
        if reference is None:
            return True
        try:
            found = embedding_in(self.protocol, body)
        except (ValueError, KeyError, IndexError, TypeError):
            return False
        return len(found) == len(reference) and cosine(found, reference) >= self.smallest_cosine


async def learn(pool: Pool, target: Target, protocol: Protocol, model: str, wanted: Iterable[str]) -> AnswerCheck:
    """Ask for each distinct sentence once, one at a time, so that none shares a batch with another.

    Raises LoadError when there are too many sentences, one is not answered, or nobody can be reached.
    """
    distinct = list(dict.fromkeys(wanted))
    if len(distinct) > MAX_VERIFIED_SENTENCES:
        raise LoadError(f"--verify: {len(distinct)} distinct sentences, at most {MAX_VERIFIED_SENTENCES} are accepted")
    expected: dict[str, Sequence[float]] = {}
    for sentence in distinct:
        answer = await _answer(pool, request_bytes(target, protocol, model, sentence))
        if answer.status != 200:
            raise LoadError(f"--verify: the reference for {sentence!r} was answered with status {answer.status}")
        expected[sentence] = embedding_in(protocol, answer.body)
    return AnswerCheck(protocol, expected)


async def _answer(pool: Pool, request: bytes) -> Answer:
    """Ask until somebody can be reached: a Service whose pods have just become ready, or changed, is not at once."""
    clock = asyncio.get_running_loop().time
    end = clock() + REACHED_WITHIN_SECONDS
    while True:
        try:
            return await pool.exchange(request)
        except (ConnectionLostError, OSError) as error:
            if clock() >= end:
                raise LoadError(f"--verify: nobody was reached within {REACHED_WITHIN_SECONDS:g} s: {error}") from error
        await asyncio.sleep(AGAIN_SECONDS)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Cosine similarity of two vectors of one length; 0 when either is all zeros."""
    product = sum(a * b for a, b in zip(left, right, strict=True))
    norm = math.sqrt(sum(a * a for a in left) * sum(b * b for b in right))
    return product / norm if norm > 0 else 0.0
