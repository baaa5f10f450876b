"""What bench.wire_crowd measures: a file of its own, for whoever reads it needs no fakes on the path."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CrowdFigures:
    """Seconds from a write of the spec to each engine's accepted report, all changes; the agent's largest memory."""

    engines: int
    changes: int
    seconds: list[float]
    resident_bytes: int
