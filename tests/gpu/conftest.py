"""These tests need a real NVIDIA GPU; without one they are skipped, with the reason printed, and never faked."""

from __future__ import annotations

import pynvml
import pytest


def _devices() -> tuple[int, str]:
    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetCount(), "the driver reports no GPU"
    except pynvml.NVMLError as error:
        return 0, f"NVML says: {error}"


@pytest.fixture(scope="session", autouse=True)
def real_gpu() -> None:
    count, why = _devices()
    if not count:
        pytest.skip(f"no NVIDIA GPU on this machine ({why}); not run, and not simulated")
