"""The agent as a process with a full node of engines: its memory, its metrics, its end; and with the wire off."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from fakes.agent_wire import REPORT, WireWorld, entry, hang_up, until, wire_world

from trimtab_api.wire import entry_hash

ENGINES = 50
IDLE_CONNECTIONS = 150
MAX_RESIDENT_BYTES = 100_000_000


@asynccontextmanager
async def agent(settings: dict[str, str], folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    """Run the agent on free ports; its log goes to a file."""
    log = folder / "agent.log"
    ports = {"TRIMTAB_PORT": "0", "TRIMTAB_INTERVAL_SECONDS": "0.2"}
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-m", "trimtab_agent",
            env={**os.environ, **ports, **settings}, stdout=file, stderr=file,
        )  # fmt: skip
        try:
            yield process, log
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def logged(log: Path, pattern: str) -> re.Match[str]:
    """Wait for a line of the log."""

    def search() -> re.Match[str] | None:
        return re.search(pattern, log.read_text())

    await until(search, pattern, 60)
    match = search()
    assert match is not None
    return match


def resident_bytes(pid: int) -> int:
    match = re.search(r"VmRSS:\s+([0-9]+) kB", Path(f"/proc/{pid}/status").read_text())
    assert match is not None
    return int(match[1]) * 1024


async def metrics(port: int) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        return await answer.text()


async def attach(world: WireWorld, number: int) -> asyncio.Task[int]:
    """Have an engine ask, report, and wait for a change."""
    token = world.pod(f"uid-{number}")
    assert (await world.ask(token)).status == 200
    assert (await world.report(token, REPORT)).status == 204

    async def wait() -> int:
        return (await world.ask(token, entry_hash(entry(f"uid-{number}")), 30)).status

    return asyncio.create_task(wait())


async def test_a_full_node_and_idle_connections_fit_into_100_mb_and_it_ends_cleanly_with_every_waiting_engine_answered(
    tmp_path: Path,
) -> None:
    async with wire_world(tmp_path) as world:
        await world.api.write(*(entry(f"uid-{number}") for number in range(ENGINES)))
        async with agent(world.environment(), tmp_path) as (process, log):
            world.port = int((await logged(log, r'"engine_port": ([0-9]+)'))[1])
            port = int((await logged(log, r'"port": ([0-9]+)'))[1])
            await logged(log, "certificate loaded")
            await until(lambda: world.api.watches, "it watches")
            waiting = [await attach(world, number) for number in range(ENGINES)]
            await until(lambda: world.api.statuses and len(world.api.statuses[-1]["engines"]) == ENGINES, "all told")
            shown = await metrics(port)
            idle = [await world.connect() for _ in range(IDLE_CONNECTIONS)]
            resident = resident_bytes(process.pid)
            for _, writer in idle:
                await hang_up(writer)
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.gather(*waiting) == [204] * ENGINES
            assert await asyncio.wait_for(process.wait(), 10) == 0
            assert time.monotonic() - started < 5
            text = log.read_text()
    print(f"resident {resident / 1e6:.0f} MB with {ENGINES} engines and {IDLE_CONNECTIONS} idle connections")
    assert resident < MAX_RESIDENT_BYTES
    assert f'trimtab_agent_engines{{state="attached"}} {ENGINES}.0' in shown
    assert "trimtab_agent_tuning_synced 1.0" in shown
    assert f'trimtab_agent_wire_requests_total{{outcome="accepted",path="report"}} {ENGINES}.0' in shown
    assert "token-uid" not in text
    assert "agent-token" not in text
    assert '"level": "error"' not in text


async def test_without_a_mounted_token_the_wire_is_off_and_the_agent_goes_on(tmp_path: Path) -> None:
    settings = {"NODE_NAME": "node-1", "POD_NAMESPACE": "ns", "TRIMTAB_API_SERVER": "https://127.0.0.1:1",
                "TRIMTAB_API_TOKEN_FILE": str(tmp_path / "absent")}  # fmt: skip
    async with agent(settings, tmp_path) as (process, log):
        port = int((await logged(log, r'"port": ([0-9]+)'))[1])
        shown = await metrics(port)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert log.read_text().count("engine wire is off") == 1
    assert "trimtab_agent_engines" not in shown
    assert "trimtab_agent_node_build" in shown
