"""The engine that is put to the test, as a process of its own: started ready, watched, ended."""

from __future__ import annotations

import http.client
import os
import re
import signal
import sys
from collections.abc import Mapping

from bench.endurance.container import MemoryContainer
from bench.server_process import ServerProcess
from trimtab_engine.memory.resident import resident_bytes

ENGINE = (sys.executable, "-m", "trimtab_engine")
ON_THIS_CPU = {"TRIMTAB_HOST": "127.0.0.1", "TRIMTAB_DEVICE": "cpu", "TRIMTAB_DRAIN_GRACE": "0s"}
"""Of every engine that a bench starts."""
START_SECONDS = 120.0
_ANSWER_SECONDS = 30.0


class EngineProcess:
    """One `trimtab-engine`, ready."""

    def __init__(
        self, settings: Mapping[str, str], *, core: int | None = None, container: MemoryContainer | None = None
    ) -> None:
        """Start it on the CPU at a free port. Raises TimeoutError."""
        enter = None if container is None else container.enter
        variables = {**ON_THIS_CPU, "TRIMTAB_PORT": "0", **settings}
        self.server = ServerProcess(ENGINE, variables, core=core, before_exec=enter)
        try:
            self.server.wait_for("worker_ready", START_SECONDS)
            self.port: int = self.server.wait_for("listening", START_SECONDS)["port"]
        except TimeoutError:
            self.close()
            raise

    @property
    def front_bytes(self) -> int:
        """Resident memory of the front."""
        return resident_bytes(self.server.pid) or 0

    @property
    def worker_bytes(self) -> int:
        """Resident memory of the worker; 0 while there is none."""
        return resident_bytes(self._worker_pid) or 0

    @property
    def worker_starts(self) -> int:
        """Workers started since the beginning."""
        return len(self.server.events("worker_started"))

    def kill_worker(self) -> None:
        """End the worker as the kernel would; one that is gone already is let be."""
        try:
            os.kill(self._worker_pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples. Raises OSError."""
        page = self.ask("GET", "/metrics").decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE))

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of the answer to one request on a connection of its own. Raises OSError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)
        try:
            connection.request(method, path, body)
            return connection.getresponse().read()
        except http.client.HTTPException as error:
            raise OSError(f"no answer of HTTP: {error!r}") from error
        finally:
            connection.close()

    def close(self) -> None:
        """End both processes."""
        self.server.close()

    @property
    def _worker_pid(self) -> int:
        return int(self.server.events("worker_started")[-1]["pid"])
