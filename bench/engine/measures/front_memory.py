"""Resident memory of the front process while nothing is asked."""

from __future__ import annotations

import re
from pathlib import Path

from bench.engine.contenders import Setting
from bench.engine.extent import Extent
from bench.engine.field import Field
from bench.engine.results import Result

LIMIT_BYTES = 120e6


def measure(extent: Extent) -> Result:
    """Start ourselves with MiniLM and look. Raises BenchError."""
    with Field(extent.most_lag_seconds) as field:
        field.start("trimtab", "minilm", 0.2, Setting(16, 0.002))
        status = Path(f"/proc/{field.servers['trimtab'].process.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    resident = int(found.group(1)) * 1024 if found else 0
    held = "held" if 0 < resident <= LIMIT_BYTES else "MISSED"
    return Result(
        f"idle memory of the front, MB: {held}", trimtab=resident / 1e6, floor=LIMIT_BYTES / 1e6, quick=extent.quick
    )
