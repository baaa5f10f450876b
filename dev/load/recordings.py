"""Reads the recorded arrival times and keys that lie in data/ (its README names their sources and licence)."""

from __future__ import annotations

import gzip
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"


def recorded_arrivals() -> tuple[float, ...]:
    """Arrival times of a real LLM fleet, in seconds since the first one, ascending."""
    return tuple(float(line) for line in _rows("azure_conv_2023_arrivals.csv.gz"))


def recorded_keys() -> tuple[int, ...]:
    """Keys of a real web cache, in order of use, numbered in order of first use."""
    return tuple(int(line) for line in _rows("cache2k_web07_keys.csv.gz"))


def _rows(name: str) -> list[str]:
    with gzip.open(DATA / name, "rt") as lines:
        return lines.read().split()[1:]
