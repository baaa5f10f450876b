"""Durations, sizes and shares as people write them (`5ms`, `1m30s`, `64Mi`, `0.98`): read and written, else None."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_BYTES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
}
_DURATION = re.compile(r"(?:[0-9]+(?:ms|s|m|h))+")
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h)")
_SIZE = re.compile(r"([0-9]+(?:[.][0-9]{1,3})?)(Ki|Mi|Gi|Ti|k|M|G|T|)")
_RATIO = re.compile(r"0(?:[.][0-9]{1,6})?|1(?:[.]0{1,6})?")
_MAX_CHARACTERS = 32


def read_seconds(text: str) -> float | None:
    """Return the seconds of a duration, exact to a millisecond."""
    if len(text) > _MAX_CHARACTERS or not _DURATION.fullmatch(text):
        return None
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in _DURATION_PART.findall(text)) / 1000


def read_bytes(text: str) -> int | None:
    """Return the bytes of a size, rounded up as Kubernetes does."""
    match = _SIZE.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    return None if match is None else math.ceil(Decimal(match[1]) * _BYTES[match[2]])


def read_ratio(text: str) -> float | None:
    """Return a share from 0 to 1."""
    return float(text) if _RATIO.fullmatch(text) else None


def write_ratio(ratio: float) -> str:
    """Return a share as a decimal of at most six places."""
    return f"{ratio:.6f}".rstrip("0").rstrip(".")


def write_seconds(seconds: float) -> str:
    """Return a duration in whole milliseconds."""
    return f"{round(seconds * 1000)}ms"
