"""Recorded tables: CSV files with a header, gzipped or not."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path


class UnfitFileError(ValueError):
    """A folder lacks a file, or a file what is needed of it; the message names it."""


def files(folder: Path, pattern: str) -> list[Path]:
    """Return the files whose names fit, in order. Raises UnfitFileError where there is none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise UnfitFileError(f"{folder} has no file {pattern}")
    return found


def rows(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of a file, by the names of their columns. Raises UnfitFileError, OSError."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        missing = sorted(set(needed) - set(reader.fieldnames or ()))
        if missing:
            raise UnfitFileError(f"{path} has no column {', '.join(missing)}; needed are {', '.join(needed)}")
        yield from reader


def rows_of_all(folder: Path, pattern: str, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of all files whose names fit. Raises UnfitFileError, OSError."""
    for path in files(folder, pattern):
        yield from rows(path, needed)
