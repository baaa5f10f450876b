"""Clients that keep asking while an engine changes what answers, and what it answers to each sentence alone."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Self

import numpy as np
from contract.engine.running_engine import TOLERANCE, WORDS, EngineProcess, Reply, v2_body
from numpy.typing import NDArray

SENTENCES = [  # of about twenty tokens: with ten there is hardly anything to save
    " ".join(WORDS[(n * factor) % len(WORDS)] for factor in range(1, 16)) + f" number {n}" for n in range(120)
]
BATCH = 4  # inputs of a request
BATCHING_NOISE = 5 * TOLERANCE


class Clients:
    """Two clients that keep asking, until closed; every answer is kept under its stamped version."""

    def __init__(self, engine: EngineProcess, texts: Sequence[str] = SENTENCES, batch: int = BATCH) -> None:
        self._texts, self._batch = texts, batch
        self.answers: dict[str, list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)
        self.failed: list[Reply] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(engine, seed)) for seed in (1, 2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, engine: EngineProcess, seed: int) -> None:
        number = seed
        while not self._stop.wait(0.25):  # leaves the device quiet moments to search in, on a slow machine too
            numbers = [(number + 7 * step) % len(self._texts) for step in range(self._batch)]
            number = numbers[-1]
            reply = engine.infer(v2_body([self._texts[each] for each in numbers]))
            if reply.status == 200:
                self.answers[reply.headers["trimtab-version"]] += zip(numbers, reply.vectors(), strict=True)
            else:
                self.failed.append(reply)


def references(
    engine: EngineProcess, texts: Sequence[str] = SENTENCES, batch: int = 1
) -> tuple[str, NDArray[np.float32]]:
    """The version in force and what it answers to each text, in requests of so many; alone by default."""
    replies = [engine.infer(v2_body(list(texts[first : first + batch]))) for first in range(0, len(texts), batch)]
    versions = {reply.headers["trimtab-version"] for reply in replies}
    assert len(versions) == 1
    return versions.pop(), np.concatenate([reply.vectors() for reply in replies])
