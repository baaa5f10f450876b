"""Replay recorded ticks through the pure rooms, and name every difference from what was recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from trimtab_operator.analysis.analyze import analyze
from trimtab_operator.model.serialize import read_line
from trimtab_operator.trial.advance import advance


@dataclass(frozen=True)
class Difference:
    """One value of a step that came out differently. `line` counts from 1; `path` is like `status.replicas.desired`."""

    line: int
    path: str
    recorded: Any
    replayed: Any

    def __str__(self) -> str:
        return f"line {self.line}: {self.path}: recorded {self.recorded!r}, replayed {self.replayed!r}"


def replay(lines: Iterable[str]) -> Iterator[tuple[int, tuple[Difference, ...]]]:
    """Yield each line's number with its differences (none: the same step); empty lines are passed over.

    Raises ValueError for a line that is no recorded tick, naming the line.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _compare(number, line)


def _compare(number: int, line: str) -> tuple[Difference, ...]:
    try:
        snapshot, policy, recorded = read_line(line)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error
    replayed = advance(policy.status.phase, snapshot, analyze(snapshot, policy), policy)
    return tuple(
        Difference(number, path, before, after)
        for path, before, after in differ("", asdict(recorded), asdict(replayed))
    )


def differ(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield path and both values wherever two JSON-like values differ; what one side lacks is None."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from differ(f"{path}.{key}" if path else str(key), before.get(key), after.get(key))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from differ(f"{path}[{index}]", left, right)
    elif before != after:
        yield path, before, after
