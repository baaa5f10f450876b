"""What ends a bench with a message instead of a figure."""


class BenchError(Exception):
    """A contender or a measure could not be run; the message says which and why."""
