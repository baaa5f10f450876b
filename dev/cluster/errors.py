"""The one error that the commands of this package print as a single line."""

from __future__ import annotations


class ClusterError(Exception):
    """A step cannot be done; the message names what is wrong and what to do about it."""
