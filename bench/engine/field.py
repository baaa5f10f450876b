"""The contenders of one measure, all started and kept, and the load process that drives them in turn."""

from __future__ import annotations

import os
import socket
import time
from types import TracebackType
from typing import Any

from bench.engine.contenders import CONTENDERS, Contender, Order, Setting
from bench.engine.errors import BenchError, VoidSlice
from bench.engine.line_process import LineProcess
from bench.engine.load.cpu import cpu_seconds
from bench.server_process import ServerProcess, tree

SERVER_CORE = min(os.sched_getaffinity(0))
_IDLE_LOOK_SECONDS = 0.04
_IDLE_SHARE = 0.25
_IDLE_WAIT_SECONDS = 3.0


class Server:
    """One started contender, pinned to the server's core."""

    def __init__(self, contender: Contender, workload: str, deadline_seconds: float, setting: Setting) -> None:
        self.contender, self.workload = contender, workload
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        command, variables = contender.start(Order(workload, deadline_seconds, setting, self.port))
        self.process = ServerProcess(command, variables, core=SERVER_CORE)

    def order(self, **more: Any) -> dict[str, Any]:
        """Return what the load process must know of this server."""
        return {
            "workload": self.workload,
            "dialect": self.contender.dialect,
            "port": self.port,
            "root": self.process.pid,
            **more,
        }


class Field:
    """Started servers by name; leaving the `with` block ends them."""

    def __init__(self, most_lag_seconds: float) -> None:
        self._most_lag_seconds = most_lag_seconds
        self.servers: dict[str, Server] = {}
        self._last = ""
        self._load = LineProcess("bench.engine.load")

    def __enter__(self) -> Field:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers.values():
            server.process.close()
        self._load.close()

    def start(self, name: str, workload: str, deadline_seconds: float, setting: Setting) -> None:
        """Start a contender and wait for its first right answer. Raises BenchError."""
        contender = CONTENDERS[name]
        server = self.servers[name] = Server(contender, workload, deadline_seconds, setting)
        end = time.monotonic() + contender.start_seconds
        while True:
            if not server.process.alive or time.monotonic() > end:
                why = "it has ended" if not server.process.alive else f"no answer in {contender.start_seconds:.0f} s"
                raise BenchError(f"{name} does not run ({setting}; {why}):\n{server.process.words()}")
            answer = self._load.ask(server.order(kind="closed", callers=1, warm_seconds=0.0, seconds=0.05))
            if answer.get("good"):
                return
            time.sleep(0.25)

    def closed(self, name: str, callers: int, seconds: float) -> dict[str, Any]:
        """Run a closed slice. Raises VoidSlice, BenchError."""
        order = self.servers[name].order(kind="closed", callers=callers, warm_seconds=0.15, seconds=seconds)
        return self._slice(name, order)

    def open(self, name: str, rate: float, seconds: float, deadline_seconds: float, seed: int) -> dict[str, Any]:
        """Run an open slice. Raises VoidSlice, BenchError."""
        more = {"rate": rate, "seconds": seconds, "deadline_seconds": deadline_seconds, "seed": seed}
        return self._slice(name, self.servers[name].order(kind="open", **more))

    def _slice(self, name: str, order: dict[str, Any]) -> dict[str, Any]:
        self._wait_until_idle()
        self._last = name
        answer = self._load.ask(order)
        lag = answer.get("lag_p99_seconds") or 0.0
        server = self.servers[name].process
        if not server.alive:
            raise BenchError(f"{name} has ended; its log ends:\n{server.words()}")
        if "failed" in answer:
            raise VoidSlice(f"{name}: {answer['failed']}; its log ends:\n{server.words()}")
        if lag > self._most_lag_seconds:
            raise VoidSlice(f"the load generator was {1000 * lag:.1f} ms late")
        if not answer["same_processes"]:
            raise VoidSlice(f"the processes of {name} changed")
        return answer

    def _wait_until_idle(self) -> None:
        """Let the backlog of the slice before run off. A server that never rests is not waited for for ever."""
        last = self.servers.get(self._last)
        if last is None:
            return
        pids = tree(last.process.pid)
        end = time.monotonic() + _IDLE_WAIT_SECONDS
        while time.monotonic() < end:
            before = cpu_seconds(pids)
            time.sleep(_IDLE_LOOK_SECONDS)
            if cpu_seconds(pids) - before < _IDLE_SHARE * _IDLE_LOOK_SECONDS:
                return
