"""Reading measured tables: CSV, gzipped or not."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO


class UnfitFileError(Exception):
    """A folder lacks a file, or a file a column."""


def rows(folder: Path, pattern: str, needed: Collection[str]) -> Iterator[Mapping[str, str]]:
    """Yield the rows of all files that fit the pattern. Raises UnfitFileError."""
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise UnfitFileError(f"{folder} has no file {pattern}")
    for path in paths:
        with _opened(path) as lines:
            reader = csv.DictReader(lines)
            missing = sorted(set(needed) - set(reader.fieldnames or ()))
            if missing:
                raise UnfitFileError(f"{path} has no column {', '.join(missing)}")
            yield from reader


def _opened(path: Path) -> IO[str]:
    return gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="")
