"""Starts the simulated GPUs of the embedded cluster: a library, its readings, and a device plugin that offers them.

SIMULATED: no hardware is involved. The processes outlive the demo, since its pods hold these GPUs; `make cluster-down`
ends them with the cluster. What they run stands in tests/fakes, outside of the product, so it is run and not imported.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dev.cluster.paths import REPOSITORY, Paths
from dev.cluster.processes import Program, ensure_running
from dev.demo.errors import DemoError

# More than both acts need: a pod that ends keeps its GPU for some seconds while its successor starts.
SPARE = 3
_TESTS = REPOSITORY / "tests"
_ENVIRONMENT = {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{_TESTS}"}


def folder(paths: Paths) -> Path:
    """Return the directory that the agent mounts: library and readings."""
    return paths.state / "simulated-gpus"


def offer(paths: Paths, count: int) -> None:
    """Put library and readings in place and offer `count` GPUs to the kubelet; idempotent.

    Raises DemoError when the library cannot be compiled.
    """
    place = folder(paths)
    place.mkdir(parents=True, exist_ok=True)
    for library in Path(_run("fakes.nvml.build").strip()).iterdir():
        target = place / library.name
        if not target.exists() or target.read_bytes() != library.read_bytes():
            shutil.copy2(library, place / f".{library.name}")
            (place / f".{library.name}").replace(target)
    _run("dev.demo.readings", "--once", f"--file={place / 'readings'}", f"--count={count}")
    arguments = (f"--kubelet-dir={paths.kubelet}", f"--readings={place / 'readings'}")
    _start(paths, "simulated-gpu-plugin", "fakes.device_plugin", *arguments)


def follow(paths: Paths, prometheus_url: str, count: int) -> None:
    """Keep the readings in step with what Prometheus measures; idempotent."""
    arguments = (f"--prometheus={prometheus_url}", f"--file={folder(paths) / 'readings'}", f"--count={count}")
    _start(paths, "simulated-gpu-readings", "dev.demo.readings", *arguments)


def _run(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, **_ENVIRONMENT}
    try:
        return subprocess.run(
            command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=90, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip().splitlines()[-3:]
        raise DemoError(f"the simulated GPUs cannot be made (is gcc installed?): {' '.join(words)}") from error
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"`python -m {module}` did not end within 90 s") from error


def _start(paths: Paths, name: str, module: str, *arguments: str) -> None:
    program = Program(
        name=name,
        command=(sys.executable, "-m", module, *arguments),
        environment=_ENVIRONMENT,
        inputs=(Path(__file__), Path(__file__).with_name("readings.py"), _TESTS / "fakes" / "device_plugin.py"),
    )
    ensure_running(paths, program)
