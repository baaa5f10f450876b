"""Recorded traffic: when requests came, and how long their prompts and answers were."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trimtab_operator.model.arrays import Floats

COLUMNS = ("t_s", "in_tok", "out_tok")
MOST_REQUESTS = 5_000_000
JITTER_SECONDS = 5.0


class TraceError(ValueError):
    """A file is no trace; the message names the file, the line and what is needed."""


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

    Columns: t_s (seconds), in_tok, out_tok. Raises TraceError, OSError.
    """
    rows = _rows(path)
    if len(rows) * times > MOST_REQUESTS:
        raise TraceError(f"{path} holds {len(rows)} requests; times {times} that is more than {MOST_REQUESTS}")
    moved = np.random.default_rng(seed).uniform(-JITTER_SECONDS, JITTER_SECONDS, (len(rows), times))
    moved[:, 0] = 0.0
    arrived, *lengths = np.array(rows, float).reshape(-1, 3).T
    every = np.maximum(0.0, arrived[:, None] + moved).ravel()
    order = np.argsort(every, kind="stable")
    return Trace(every[order], *(np.repeat(each, times)[order] for each in lengths))


def _rows(path: Path) -> list[tuple[float, int, int]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        reader = csv.DictReader(lines)
        missing = sorted(set(COLUMNS) - set(reader.fieldnames or ()))
        if missing:
            raise TraceError(f"{path} has no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}")
        return [_row(path, number, row) for number, row in enumerate(reader, 2)]


def _row(path: Path, number: int, row: dict[str, str]) -> tuple[float, int, int]:
    try:
        at, prompt, output = float(row["t_s"]), int(row["in_tok"]), int(row["out_tok"])
    except (TypeError, ValueError) as error:
        raise TraceError(f"{path}, line {number}: {error}") from error
    if not 0.0 <= at < float("inf") or prompt < 0 or output < 0:
        raise TraceError(f"{path}, line {number}: time and tokens must not be negative: {at:g}, {prompt}, {output}")
    return at, max(1, prompt), max(1, output)
