"""Recorded traffic: when requests came, and how long their prompts and answers were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trimtab_operator.model.arrays import Floats
from trimtab_replay.tables import UnfitFileError, rows

COLUMNS = ("t_s", "in_tok", "out_tok")
MOST_REQUESTS = 5_000_000
JITTER_SECONDS = 5.0


@dataclass(frozen=True)
class Trace:
    """Requests in the order in which they came: seconds from the start, and lengths in tokens, as columns."""

    arrived: Floats
    prompt_tokens: Floats
    output_tokens: Floats

    def __len__(self) -> int:
        return len(self.arrived)

    @property
    def seconds(self) -> float:
        """When the last one came."""
        return float(self.arrived[-1]) if len(self) else 0.0


def read_trace(path: Path, times: int = 1, seed: int = 0) -> Trace:
    """Return the requests of a CSV file (also .gz) in order, each `times` over, moved by up to five seconds.

    Columns: t_s (seconds), in_tok, out_tok. Raises UnfitFileError, OSError.
    """
    found = [_request(path, number, row) for number, row in enumerate(rows(path, COLUMNS), 2)]
    if len(found) * times > MOST_REQUESTS:
        raise UnfitFileError(f"{path} holds {len(found)} requests; times {times} that is more than {MOST_REQUESTS}")
    moved = np.random.default_rng(seed).uniform(-JITTER_SECONDS, JITTER_SECONDS, (len(found), times))
    moved[:, 0] = 0.0
    arrived, *lengths = np.array(found, float).reshape(-1, 3).T
    every = np.maximum(0.0, arrived[:, None] + moved).ravel()
    order = np.argsort(every, kind="stable")
    return Trace(every[order], *(np.repeat(each, times)[order] for each in lengths))


def _request(path: Path, number: int, row: dict[str, str]) -> tuple[float, int, int]:
    try:
        at, prompt, output = float(row["t_s"]), int(row["in_tok"]), int(row["out_tok"])
    except (TypeError, ValueError) as error:
        raise UnfitFileError(f"{path}, line {number}: {error}") from error
    if not 0.0 <= at < float("inf") or prompt < 0 or output < 0:
        raise UnfitFileError(f"{path}, line {number}: time and tokens must not be negative: {at:g}, {prompt}, {output}")
    return at, max(1, prompt), max(1, output)
