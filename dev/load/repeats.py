"""How often inputs repeat: what a response cache could have answered, whatever the server did. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def repeated_share(inputs: Sequence[str], begin: int, end: int) -> float | None:
    """Return the share of the inputs at positions [begin, end) that stood at an earlier position already.

    None for an empty stretch.
    """
    if begin >= end:
        return None
    seen = set(inputs[:begin])
    repeated = 0
    for text in inputs[begin:end]:
        repeated += text in seen
        seen.add(text)
    return repeated / (end - begin)
