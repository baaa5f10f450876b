"""The engine that is put to the test, as a process of its own: started ready, watched, ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.endurance.container import MemoryContainer
from dev.cluster.paths import REPOSITORY
from trimtab_engine.memory.resident import resident_bytes

START_SECONDS = 120.0
_PACKAGES = ("agent", "crds")


class EngineProcess:
    """One `trimtab-engine`; its log goes to a file."""

    def __init__(self, log_path: Path, settings: Mapping[str, str], container: MemoryContainer | None = None) -> None:
        self._log_path = log_path
        paths = [str(REPOSITORY / package) for package in _PACKAGES]
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TRIMTAB_HOST": "127.0.0.1",
            "TRIMTAB_PORT": "0",
            "TRIMTAB_DEVICE": "cpu",
            **settings,
        }
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trimtab_engine"],
                env=environ,
                stderr=log,
                preexec_fn=None if container is None else container.enter,  # noqa: PLW1509  no thread runs yet
            )
        self.wait_for("worker_ready")
        self.port: int = self.events("listening")[0]["port"]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of the log with this event."""
        lines = self._log_path.read_text().splitlines()
        return [event for line in lines if line.startswith("{") and (event := json.loads(line))["event"] == name]

    def wait_for(self, name: str) -> None:
        """Wait until the log has the event; raises TimeoutError with its last lines."""
        end = time.monotonic() + START_SECONDS
        while not self.events(name):
            if time.monotonic() > end or self._process.poll() is not None:
                words = self._log_path.read_text().splitlines()[-5:]
                raise TimeoutError("\n".join(["the engine did not get ready:", *words]))
            time.sleep(0.05)

    @property
    def alive(self) -> bool:
        """Whether the front is running."""
        return self._process.poll() is None

    @property
    def front_bytes(self) -> int:
        """Resident memory of the front."""
        return resident_bytes(self._process.pid) or 0

    @property
    def worker_bytes(self) -> int:
        """Resident memory of the worker; 0 while there is none."""
        return resident_bytes(self._worker_pid) or 0

    @property
    def worker_starts(self) -> int:
        """Workers started since the beginning."""
        return len(self.events("worker_started"))

    def kill_worker(self) -> None:
        """End the worker as the kernel would; one that is gone already is let be."""
        try:
            os.kill(self._worker_pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
        finally:
            connection.close()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))

    def close(self) -> None:
        """End both processes."""
        self._process.kill()
        self._process.wait()

    @property
    def _worker_pid(self) -> int:
        return int(self.events("worker_started")[-1]["pid"])
