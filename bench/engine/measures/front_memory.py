"""Resident memory of the front process while nothing is asked."""

from __future__ import annotations

from bench.engine.contenders import CONTENDERS, settings
from bench.engine.field import Field
from bench.engine.results import Result
from bench.engine.run import Run
from bench.engine.sweep import DEADLINES_SECONDS
from trimtab_engine.memory.resident import resident_bytes

LIMIT_BYTES = 120e6


def measure(run: Run) -> list[Result]:
    """Start ourselves with MiniLM and look. Raises BenchError."""
    with Field(run.extent.most_lag_seconds) as field:
        field.start("trimtab", "minilm", DEADLINES_SECONDS["minilm"], settings(CONTENDERS["trimtab"], "minilm")[0])
        resident = resident_bytes(field.servers["trimtab"].process.pid) or 0
    return [
        Result(
            "idle memory of the front, MB",
            trimtab=resident / 1e6,
            holds=0 < resident <= LIMIT_BYTES,
            asked=f"at most {LIMIT_BYTES / 1e6:.0f}",
            quick=run.quick,
        )
    ]
