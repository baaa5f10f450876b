"""Operator processes against a real API server, with a scripted Prometheus."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.prometheus import HttpPrometheus

LEASE_SECONDS = {"DURATION": "4", "RENEW_DEADLINE": "2.5", "RETRY": "0.5"}


def eventually(check: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `check`, asked again and again until the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@dataclass
class OperatorProcess:
    """One running `python -m trimtab_operator`."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def fetch(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, line_start: str) -> float:
        for line in self.fetch("/metrics")[1].splitlines():
            if line.startswith(line_start + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def leads(self) -> bool:
        return self.metric("trimtab_operator_leader") == 1.0

    def writes(self) -> float:
        """Every write but those of the Lease."""
        lines = self.fetch("/metrics")[1].splitlines()
        counted = [line for line in lines if line.startswith("trimtab_operator_writes_total{")]
        return sum(float(line.rsplit(" ", 1)[1]) for line in counted if 'kind="Lease"' not in line)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.send(signal.SIGCONT)
        self.process.kill()
        self.process.wait(10)


@dataclass
class Ground:
    """A namespace for targets, one for the operator, and the means to start operators on them."""

    api: Any
    targets: str
    system: str
    prometheus: HttpPrometheus
    folder: Path
    started: list[OperatorProcess] = field(default_factory=list)

    def start(self, name: str, **environ: str) -> OperatorProcess:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {
            "KUBECONFIG": str(self.api.kubeconfig),
            "POD_NAME": name,
            "POD_NAMESPACE": self.system,
            "TRIMTAB_PROMETHEUS_URL": self.prometheus.url,
            "TRIMTAB_WATCH_NAMESPACES": self.targets,
            "TRIMTAB_PORT": str(port),
            **{f"TRIMTAB_LEASE_{key}_SECONDS": value for key, value in LEASE_SECONDS.items()},
            **environ,
        }
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        log = self.folder / f"{name}-{len(self.started)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "trimtab_operator"],
                env=kept | settings,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        started = OperatorProcess(process, port, log)
        self.started.append(started)
        return started

    def policy(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.api.kubectl("get", "optimizationpolicy", name, "-n", self.targets, "-o", "json")
        )
        return found

    def phase(self, name: str) -> str:
        return str((self.policy(name).get("status") or {}).get("phase", ""))

    def apply(self, body: dict[str, Any]) -> None:
        self.api.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(body))

    def holder(self) -> str:
        lease = self.api.kubectl("get", "lease", "trimtab-operator", "-n", self.system, "-o", "json")
        return str(json.loads(lease)["spec"].get("holderIdentity") or "")
