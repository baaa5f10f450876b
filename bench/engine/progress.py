"""How far the bench is, told to a person while it runs."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Print a line beside the figures."""
    print(text, file=sys.stderr, flush=True)
