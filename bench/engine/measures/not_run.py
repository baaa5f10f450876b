"""Rows that this bench does not run, each with why and where its figure comes from."""

from __future__ import annotations

from pathlib import Path

from bench.engine.results import Result
from bench.engine.run import Run

GPU_ROWS = ("GPU: bf16, fp8 and int8 beside eager", "GPU: share of the roofline, MFU", "GPU: hot settings under load")
NO_GPU = "no GPU"
_DEVICE = Path("/dev/nvidia0")


def measure(_: Run) -> list[Result]:
    """Return them."""
    why = "its own bench: `python -m bench.gpu`" if _DEVICE.exists() else NO_GPU
    return [
        Result("hit ratio on real cache traces", note="its own bench: `python -m bench.cache`"),
        *(Result(name, note=why) for name in GPU_ROWS),
    ]
