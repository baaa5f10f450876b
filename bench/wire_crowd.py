"""`python -m bench.wire_crowd`: one agent process with many engines; prints what it measured as JSON.

The agent is the real program. The API server is the in-process fake of tests/fakes and the engines are simulated
clients in this process, on this machine: the time of the API server's own watch is not in these figures, the time of
all clients is. bench.wire runs this with tests/ on the path.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
from fakes.agent_api import AgentApi, pod_token

from bench.wire_crowd_figures import CrowdFigures
from trimtab_api.wire import REPORT_PATH, SERVICE, SETTINGS_PATH, SettingsReport
from trimtab_engine.memory.resident import resident_bytes

NODE = "node-1"
NAMESPACE = "bench"
ATTACH_SECONDS = 60.0
CHANGE_SECONDS = 30.0
RETRY_SECONDS = 0.2
PAUSE_SECONDS = 1.0
WAIT_SECONDS = 30


class Reports:
    """Which engines have reported which batch size, and when (monotonic seconds)."""

    def __init__(self, engines: int) -> None:
        self._engines = engines
        self._news = asyncio.Condition()
        self._at: dict[int, dict[str, float]] = {}

    async def add(self, uid: str, batch_size: int) -> None:
        """Note one report."""
        async with self._news:
            self._at.setdefault(batch_size, {}).setdefault(uid, time.monotonic())
            self._news.notify_all()

    async def all_of(self, batch_size: int, seconds: float) -> list[float]:
        """Wait for every engine's report of it; returns their times. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self._at.get(batch_size, {})) == self._engines)
            return list(self._at[batch_size].values())


@dataclass(frozen=True)
class Client:
    """A simulated engine: asks, takes every document, and reports it as applied."""

    session: aiohttp.ClientSession
    address: str
    trust: ssl.SSLContext
    uid: str
    reports: Reports

    async def run(self) -> None:
        """Ask for ever; what fails is tried again."""
        known = ""
        while True:
            try:
                known = await self._turn(known)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)

    async def _turn(self, known: str) -> str:
        query = {"wait": str(WAIT_SECONDS), **({"known": known} if known else {})}
        async with self.session.get(f"{self.address}{SETTINGS_PATH}", params=query, **self._call) as answer:
            if answer.status != 200:
                await asyncio.sleep(0 if answer.status == 204 else RETRY_SECONDS)
                return known
            document = await answer.json()
        report = SettingsReport(
            version=document["version"],
            applied=document["settings"],
            appliedHash=document["version"]["hash"],
            refused=[],
            pending=[],
            expired=False,
            knobs=[],
        )
        async with self.session.post(f"{self.address}{REPORT_PATH}", json=report, **self._call) as answer:
            answer.raise_for_status()
        await self.reports.add(self.uid, document["settings"]["maxBatchSize"])
        return str(document["entry"])

    @property
    def _call(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token_of(self.uid)}"}
        return {"headers": headers, "ssl": self.trust, "server_hostname": f"{SERVICE}.{NAMESPACE}.svc"}


def token_of(uid: str) -> str:
    """Return the token of a simulated engine; the fake API server knows whose it is."""
    return f"token-of-{uid}"


def entries(uids: Sequence[str], batch_size: int) -> list[dict[str, Any]]:
    """Return the NodeTuning's entries that ask every engine for this batch size."""
    return [
        {"podUid": uid, "namespace": NAMESPACE, "pod": f"pod-of-{uid}", "settings": {"maxBatchSize": batch_size}}
        for uid in uids
    ]


async def measure(engines: int, changes: int, folder: Path) -> CrowdFigures:
    """Start everything, change every engine `changes` times, and end everything. Raises TimeoutError."""
    uids = [f"engine-{position}" for position in range(engines)]
    api = AgentApi(folder, node=NODE, tokens={token_of(uid): pod_token(uid, NODE) for uid in uids})
    await api.start()
    port = _free_port()
    agent = await _agent(api, folder, port)
    try:
        return await _drive(api, agent.pid, f"https://127.0.0.1:{port}", uids, changes)
    finally:
        agent.terminate()
        await agent.wait()
        await api.stop()


async def _drive(api: AgentApi, pid: int, address: str, uids: Sequence[str], changes: int) -> CrowdFigures:
    reports = Reports(len(uids))
    trust = ssl.create_default_context(cadata=api.signer.pem.decode())
    limits = aiohttp.ClientTimeout(total=WAIT_SECONDS + 10)
    async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=0)) as session:
        clients = [asyncio.create_task(Client(session, address, trust, uid, reports).run()) for uid in uids]
        try:
            await api.write(*entries(uids, 1))
            await reports.all_of(1, ATTACH_SECONDS)
            seconds: list[float] = []
            largest = 0
            for batch_size in range(2, changes + 2):
                await asyncio.sleep(PAUSE_SECONDS)
                started = time.monotonic()
                await api.write(*entries(uids, batch_size))
                seconds += [at - started for at in await reports.all_of(batch_size, CHANGE_SECONDS)]
                largest = max(largest, resident_bytes(pid) or 0)
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
    return CrowdFigures(len(uids), changes, seconds, largest)


async def _agent(api: AgentApi, folder: Path, port: int) -> asyncio.subprocess.Process:
    """Start the real agent on this machine's cgroups; its log goes to a file that ends with the folder."""
    (folder / "token").write_text("token-of-the-agent")
    (folder / "ca.crt").write_bytes(api.authority.pem)
    environment = {
        **os.environ,
        "NODE_NAME": NODE,
        "POD_NAMESPACE": NAMESPACE,
        "TRIMTAB_PORT": "0",
        "TRIMTAB_ENGINE_PORT": str(port),
        "TRIMTAB_API_SERVER": f"https://127.0.0.1:{api.port}",
        "TRIMTAB_API_TOKEN_FILE": str(folder / "token"),
        "TRIMTAB_API_CA_FILE": str(folder / "ca.crt"),
        "TRIMTAB_CGROUP_ROOT": "/sys/fs/cgroup",
        "TRIMTAB_PROC_ROOT": "/proc",
        "TRIMTAB_POD_LOGS_DIR": "/var/log/pods",
    }
    with (folder / "agent.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trimtab_agent", env=environment, stdout=log, stderr=log
        )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as JSON: 0 when they were measured, 1 with the agent's last words when not."""
    parser = argparse.ArgumentParser(prog="python -m bench.wire_crowd", description=__doc__)
    parser.add_argument("--engines", type=int, default=50)
    parser.add_argument("--changes", type=int, default=20, help="changes of all engines at once, at most 255")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="trimtab-crowd-") as name:
        folder = Path(name)
        try:
            found = asyncio.run(measure(options.engines, options.changes, folder))
        except TimeoutError:
            words = (folder / "agent.log").read_text().splitlines()[-5:]
            print("not every engine reported in time;", *words, sep="\n", file=sys.stderr)
            return 1
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
