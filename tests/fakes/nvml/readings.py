"""Writes the readings of the simulated GPUs: what tests and the demo turn, and the simulated NVML library shows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

GIBIBYTE = 1024**3


@dataclass(frozen=True)
class SimulatedGpu:
    """One simulated GPU, in base units. A field in `unsupported` or `no_permission` answers with that NVML error.

    Their names: utilization, memory, power, power_limit, power_limit_set, energy, temperature, sm_clock, throttle,
    gpm, mig.
    """

    uuid: str
    name: str = "Simulated H200"
    utilization_ratio: float = 0.0
    memory_used_bytes: int = 0
    memory_total_bytes: int = 141 * GIBIBYTE
    power_watts: float = 75.0
    power_limit_watts: float = 700.0
    power_limit_min_watts: float = 200.0
    power_limit_max_watts: float = 700.0
    temperature_celsius: int = 35
    sm_clock_hertz: float = 1_980e6
    energy_joules: float | None = None
    """None: the library integrates the power over the time of the process that reads it."""
    sm_activity_ratio: float | None = None
    """None: the GPU does not support GPM."""
    dram_active_ratio: float | None = None
    tensor_active_ratio: float | None = None
    """None: GPM of this GPU does not have the metric."""
    throttle: tuple[str, ...] = ()
    """Any of power_cap, thermal, hardware."""
    mig_uuids: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    no_permission: tuple[str, ...] = ()
    lost: bool = False


def write_readings(path: Path, gpus: Sequence[SimulatedGpu], driver_version: str = "580.0-simulated") -> None:
    """Replaces the file in one step, so that no reader sees half of it. No GPU: a driver without devices."""
    lines = [f"driver {driver_version}"]
    for index, gpu in enumerate(gpus):
        lines.append(f"gpu {index}")
        lines.extend(_lines(gpu))
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w") as file:
        file.write("\n".join(lines) + "\n")
        os.fchmod(file.fileno(), 0o644)
    Path(scratch).rename(path)


def read_health(path: Path) -> dict[str, bool]:
    """Map the UUID of every GPU in the file to whether it answers (is not lost)."""
    health: dict[str, bool] = {}
    uuid = ""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == "uuid":
            uuid = value
            health[uuid] = True
        elif key == "lost":
            health[uuid] = value != "1"
    return health


def _lines(gpu: SimulatedGpu) -> list[str]:
    lines = []
    for field in fields(gpu):
        value = getattr(gpu, field.name)
        if value is None or value == () or value is False:
            continue
        text = ",".join(value) if isinstance(value, tuple) else str(int(value) if isinstance(value, bool) else value)
        lines.append(f"{field.name} {text}")
    return lines
