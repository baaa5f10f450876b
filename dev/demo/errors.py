"""The one error that the demo prints as a single line."""

from __future__ import annotations


class DemoError(Exception):
    """A step of the demo cannot be done; the message says what is wrong and what to do about it."""
