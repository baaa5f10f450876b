"""The contenders of one measure, all started and kept, and the load process that drives them in turn."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.engine.contenders import CONTENDERS, Contender, Order, Setting, environ
from bench.engine.errors import BenchError
from bench.engine.load.cpu import cpu_seconds, tree
from dev.cluster.paths import REPOSITORY

START_SECONDS = 120.0
IDLE_LOOK_SECONDS = 0.04
IDLE_SHARE = 0.25
IDLE_WAIT_SECONDS = 8.0


class Server:
    """One started contender, alone in its process group and pinned to the server's core."""

    def __init__(self, contender: Contender, workload: str, deadline_seconds: float, setting: Setting) -> None:
        self.contender, self.workload, self.setting = contender, workload, setting
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        command, variables = contender.start(Order(workload, deadline_seconds, setting, self.port))
        self._log = tempfile.NamedTemporaryFile(prefix=f"trimtab-bench-{contender.name}-")  # noqa: SIM115
        pinned = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
        self.process = subprocess.Popen(
            pinned,
            cwd=REPOSITORY,
            env=environ(variables),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    def order(self, **more: Any) -> dict[str, Any]:
        """Return what the load process must know of this server."""
        return {
            "workload": self.workload,
            "dialect": self.contender.dialect,
            "port": self.port,
            "root": self.process.pid,
            **more,
        }

    def words(self) -> str:
        """Return the end of the log."""
        return Path(self._log.name).read_text(errors="replace").strip()[-600:]

    def close(self) -> None:
        """End it and everything that it started."""
        members = tree(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in members - {self.process.pid}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._log.close()


class Field:
    """Started servers by name; leaving the `with` block ends them."""

    def __init__(self, most_lag_seconds: float) -> None:
        self._most_lag_seconds = most_lag_seconds
        self.servers: dict[str, Server] = {}
        self._last = ""
        self._load = subprocess.Popen(
            [sys.executable, "-m", "bench.engine.load"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Field:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.servers):
            self.stop(name)
        self._load.kill()
        self._load.wait()

    def start(self, name: str, workload: str, deadline_seconds: float, setting: Setting) -> None:
        """Start a contender and wait for its first right answer. Raises BenchError."""
        server = self.servers[name] = Server(CONTENDERS[name], workload, deadline_seconds, setting)
        end = time.monotonic() + START_SECONDS
        while True:
            if server.process.poll() is not None or time.monotonic() > end:
                raise BenchError(f"{name} does not run ({setting}):\n{server.words()}")
            answer = self._exchange(server.order(kind="closed", callers=1, warm_seconds=0.0, seconds=0.05))
            if answer.get("good"):
                return
            time.sleep(0.25)

    def stop(self, name: str) -> None:
        """End a contender."""
        self.servers.pop(name).close()

    def closed(self, name: str, callers: int, seconds: float) -> dict[str, Any]:
        """Run a closed slice; void ones are run again. Raises BenchError."""
        order = self.servers[name].order(kind="closed", callers=callers, warm_seconds=0.15, seconds=seconds)
        return self._slice(name, order)

    def open(self, name: str, rate: float, seconds: float, deadline_seconds: float, seed: int) -> dict[str, Any]:
        """Run an open slice; void ones are run again. Raises BenchError."""
        more = {"rate": rate, "seconds": seconds, "deadline_seconds": deadline_seconds, "seed": seed}
        return self._slice(name, self.servers[name].order(kind="open", **more))

    def _slice(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        void = ""
        for _ in range(3):
            self._wait_until_idle()
            self._last = name
            answer = self._exchange(order)
            lag = answer.get("lag_p99_seconds") or 0.0
            if "failed" in answer:
                void = f"{answer['failed']}; its log ends:\n{self.servers[name].words()}"
            elif lag > self._most_lag_seconds:
                void = f"the load generator was {lag * 1000:.1f} ms late"
            elif not answer["same_processes"]:
                void = "its processes changed"
            else:
                return answer
        raise BenchError(f"{name}: three slices were void, the last because {void}")

    def _wait_until_idle(self) -> None:
        """Let the backlog of the slice before run off. A server that never rests is not waited for for ever."""
        last = self.servers.get(self._last)
        if last is None:
            return
        pids = tree(last.process.pid)
        end = time.monotonic() + IDLE_WAIT_SECONDS
        while time.monotonic() < end:
            before = cpu_seconds(pids)
            time.sleep(IDLE_LOOK_SECONDS)
            if cpu_seconds(pids) - before < IDLE_SHARE * IDLE_LOOK_SECONDS:
                return

    def _exchange(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._load.stdin is None or self._load.stdout is None:
            raise BenchError("the load process has no pipes")
        self._load.stdin.write(json.dumps(order) + "\n")
        self._load.stdin.flush()
        line = self._load.stdout.readline()
        if not line:
            raise BenchError("the load process has ended; its words stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer
