"""Starts the simulated GPUs of the embedded cluster: a library, its readings, and a device plugin that offers them.

SIMULATED: no hardware is involved. The processes outlive the demo, since its pods hold these GPUs; `make cluster-down`
ends them with the cluster.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from fakes.nvml.build import SONAME, build
from fakes.nvml.readings import write_readings

from dev.cluster.paths import REPOSITORY, Paths
from dev.cluster.processes import Program, ensure_running
from dev.demo.errors import DemoError
from dev.demo.readings import simulated

# More than the largest arm needs: a pod that ends keeps its GPU for some seconds while its successor starts.
SPARE = 3
_SOURCES = REPOSITORY / "tests" / "fakes"


def folder(paths: Paths) -> Path:
    """Return the directory that the agent mounts: library and readings."""
    return paths.state / "simulated-gpus"


def offer(paths: Paths, count: int) -> None:
    """Put library and readings in place and offer `count` GPUs to the kubelet; idempotent.

    Raises DemoError when the library cannot be compiled.
    """
    place = folder(paths)
    place.mkdir(parents=True, exist_ok=True)
    try:
        library = build(paths.cache)
    except (OSError, ValueError) as error:
        raise DemoError(f"the simulated GPU library cannot be compiled (is gcc installed?): {error}") from error
    if not (place / SONAME).exists() or (place / SONAME).read_bytes() != (library / SONAME).read_bytes():
        shutil.copy2(library / SONAME, place / f".{SONAME}")
        (place / f".{SONAME}").replace(place / SONAME)
    if not (place / "readings").exists():
        write_readings(place / "readings", simulated(count, {}))
    _start(
        paths,
        "simulated-gpu-plugin",
        "fakes.device_plugin",
        f"--kubelet-dir={paths.kubelet}",
        f"--readings={place / 'readings'}",
    )


def follow(paths: Paths, prometheus_url: str, count: int) -> None:
    """Keep the readings in step with what Prometheus measures; idempotent."""
    _start(
        paths,
        "simulated-gpu-readings",
        "dev.demo.readings",
        f"--prometheus={prometheus_url}",
        f"--file={folder(paths) / 'readings'}",
        f"--count={count}",
    )


def _start(paths: Paths, name: str, module: str, *arguments: str) -> None:
    program = Program(
        name=name,
        command=(sys.executable, "-m", module, *arguments),
        environment={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'tests'}"},
        inputs=(Path(__file__), Path(__file__).with_name("readings.py"), _SOURCES / "device_plugin.py"),
    )
    ensure_running(paths, program)
