"""The one error that the command prints as a single line."""

from __future__ import annotations


class LoadError(Exception):
    """A run cannot be done as asked; the message names the value and what would be accepted."""
