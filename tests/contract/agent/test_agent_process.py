"""The agent as a process: its routes, its end, its memory, and a node that has nothing to tell.

SIMULATED: the GPUs are the fake NVML library's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.nvml.readings import SimulatedGpu

ROOT = Path(__file__).parents[3]
UUID = "GPU-aaaaaaaa-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Agent:
    """A running agent."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(next(line["port"] for line in self.lines() if line["message"] == "agent starts"))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except (StopIteration, urllib.error.URLError):
            return False


@contextmanager
def running_agent(folder: Path, **settings: str) -> Iterator[Agent]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "agent"),
        "NODE_NAME": "node-1",
        "TRIMTAB_PORT": "0",
        "TRIMTAB_INTERVAL_SECONDS": "0.2",
        "TRIMTAB_CGROUP_ROOT": str(folder / "cgroup"),
        "TRIMTAB_PROC_ROOT": str(folder / "proc"),
        "TRIMTAB_POD_LOGS_DIR": str(folder / "logs"),
        "TRIMTAB_POD_RESOURCES_SOCKET": str(folder / "kubelet.sock"),
        **settings,
    }
    log = folder / "agent.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "trimtab_agent"], env=environment, stdout=output, stderr=output
        )
        try:
            agent = Agent(process, log)
            deadline = time.monotonic() + 20
            while not agent.is_ready():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield agent
        finally:
            process.kill()
            process.wait(timeout=10)


@pytest.fixture
def agent(node: Any, tmp_path: Path) -> Iterator[Agent]:
    """An agent that sees one simulated GPU."""
    node.write(SimulatedGpu(UUID, utilization_ratio=0.5))
    paths = {"LD_LIBRARY_PATH": str(node.library), "TRIMTAB_FAKE_NVML_READINGS": str(node.readings)}
    with running_agent(tmp_path, **paths) as found:
        yield found


def test_metrics_and_health_are_served_and_no_other_path(agent: Agent) -> None:
    assert agent.get("/healthz") == (200, "ok\n")
    assert agent.get("/nothing")[0] == 404
    status, text = agent.get("/metrics")
    assert status == 200
    assert f'trimtab_agent_gpu_utilization_ratio{{gpu="0",simulated="true",uuid="{UUID}"}} 0.5' in text


def test_the_agent_ends_cleanly_when_it_is_told_to(agent: Agent) -> None:
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(timeout=10) == 0, agent.log.read_text()


def test_the_agent_stays_within_100_megabytes(agent: Agent) -> None:
    for _ in range(20):
        agent.get("/metrics")
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    peak_kilobytes = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    assert peak_kilobytes < 100_000


def test_a_node_with_nothing_to_read_is_ready_quiet_and_without_errors(tmp_path: Path) -> None:
    with running_agent(tmp_path, LD_LIBRARY_PATH="") as agent:
        ticks = 0.0
        deadline = time.monotonic() + 10
        while ticks < 5 and time.monotonic() < deadline:
            text = agent.get("/metrics")[1]
            counted = [line for line in text.splitlines() if line.startswith("trimtab_agent_collect_seconds_count")]
            ticks = float(counted[0].split()[1])
        assert ticks >= 5
        assert 'trimtab_agent_gpu_driver{state="no_driver"} 1.0' in text
        assert 'trimtab_agent_source_state{source="pod_resources",state="missing"} 1.0' in text
        errors = [line for line in text.splitlines() if line.startswith("trimtab_agent_collect_errors_total")]
        assert len(errors) == 4
        assert all(line.endswith(" 0.0") for line in errors)
        messages = [line["message"] for line in agent.lines()]
        assert messages.count("gpu driver state") == 1
        assert messages.count("source state") == 4


def test_a_setting_that_cannot_be_used_ends_the_agent_with_its_name(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trimtab_agent"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "agent"), "TRIMTAB_PORT": "many"},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip() == "trimtab-agent: TRIMTAB_PORT is 'many': a number from 0 to 65535 is accepted"
