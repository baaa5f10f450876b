"""What ends a bench, or a slice of it, with a message instead of a figure."""


class BenchError(Exception):
    """A contender or a measure could not be run; the message says which and why."""


class VoidSlice(Exception):  # noqa: N818  news about the machine, not a mistake
    """A slice that says nothing about the contender; the message says why."""
