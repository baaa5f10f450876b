"""The agent's engine wire, run in process against the fake API server, and engines that talk to it over real TLS."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from fakes.agent_api import AgentApi, pod_token

from trimtab_agent.engines.certificate import Pace
from trimtab_agent.engines.wire import EngineWire, api_access
from trimtab_agent.metrics import Instruments
from trimtab_agent.server import listen
from trimtab_agent.settings import read_settings
from trimtab_api.wire import REASON_HEADER

Json = dict[str, Any]
NAME = "trimtab-agent.ns.svc"
QUICK = Pace(first_poll=0.01, most_poll=0.05, first_retry=0.05, most_retry=0.2, between_renewals=0.1)
REPORT: Json = {
    "version": None, "applied": {"maxBatchSize": 8}, "appliedHash": None, "refused": [], "pending": [],
    "expired": False,
    "knobs": [{"setting": "maxBatchSize", "low": "1", "high": "256", "cost": "hot"}],
}  # fmt: skip


def entry(uid: str, settings: Json | None = None, **trial: Any) -> Json:
    return {"podUid": uid, "namespace": "ns", "pod": f"pod-{uid}", "settings": settings or {}, **trial}


T = TypeVar("T")


async def other_than(before: T, question: Callable[[], Awaitable[T]], seconds: float = 10) -> T:
    """Ask until another answer comes, and return it."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await question()
        if answer != before:
            return answer
        assert asyncio.get_running_loop().time() < deadline, "the answer never changed"


async def until(condition: Callable[[], object], what: str, seconds: float = 10) -> None:
    """Wait until it holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"never: {what}"
        await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Reply:
    status: int
    reason: str | None
    body: Any
    headers: Mapping[str, str]


@dataclass
class WireWorld:
    """`instruments` hold the counts of the wire now running."""

    api: AgentApi
    folder: Path
    session: aiohttp.ClientSession
    instruments: Instruments = field(default_factory=Instruments)
    wire: EngineWire | None = None
    port: int = 0

    def environment(self) -> dict[str, str]:
        token, authority = self.folder / "token", self.folder / "ca.crt"
        authority.write_bytes(self.api.authority.pem)
        if not token.exists():
            token.write_text("agent-token\n")
        return {
            "NODE_NAME": self.api.node,
            "POD_NAMESPACE": "ns",
            "TRIMTAB_API_SERVER": f"https://127.0.0.1:{self.api.port}",
            "TRIMTAB_API_TOKEN_FILE": str(token),
            "TRIMTAB_API_CA_FILE": str(authority),
            "TRIMTAB_ENGINE_PORT": "0",
        }

    @asynccontextmanager
    async def agent(self, *, ready: bool = True) -> AsyncIterator[EngineWire]:
        """Run the wire; `ready` waits for its certificate and its first list."""
        settings = read_settings(self.environment())
        access = api_access(settings)
        assert access is not None
        listener = listen(settings.engine_port)
        self.port = listener.getsockname()[1]
        self.instruments = Instruments()
        self.wire = wire = EngineWire(access, settings, listener, self.instruments, QUICK)
        running = asyncio.create_task(wire.run())
        try:
            await until(lambda: wire.reading().certificate_expires_seconds or running.done(), "a certificate")
            if ready:
                await until(lambda: wire.reading().synced, "synced")
            yield wire
        finally:
            wire.stop()
            await asyncio.wait_for(running, 10)

    def pod(self, uid: str, **other: Any) -> str:
        """Return the token of a pod of this node."""
        self.api.tokens[f"token-{uid}"] = pod_token(uid, **{"node": self.api.node, **other})
        return f"token-{uid}"

    def trust(self) -> ssl.SSLContext:
        authorities = (*self.api.former_signers, self.api.signer)
        return ssl.create_default_context(cadata="".join(each.pem.decode() for each in authorities))

    async def ask(self, token: str, known: str | None = None, wait: float = 0.0) -> Reply:
        query = {"wait": str(wait)} | ({} if known is None else {"known": known})
        return await self.call("GET", "/v1/settings", token, params=query)

    async def report(self, token: str, report: Any) -> Reply:
        body = report if isinstance(report, bytes) else json.dumps(report).encode()
        return await self.call("POST", "/v1/report", token, data=body)

    async def call(self, method: str, path: str, token: str | None, **options: Any) -> Reply:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with self.session.request(
            method, f"https://127.0.0.1:{self.port}{path}",
            headers=headers, ssl=self.trust(), server_hostname=NAME, **options,
        ) as answer:  # fmt: skip
            text = await answer.text()
            body = json.loads(text) if text.startswith("{") else text
            return Reply(answer.status, answer.headers.get(REASON_HEADER), body, answer.headers)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection of one's own."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust(), server_hostname=NAME)

    async def served_certificate(self) -> bytes:
        """Return the certificate that a new handshake shows."""
        _, writer = await self.connect()
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await hang_up(writer)
        return found

    def waiting(self, uid: str) -> int:
        """Return how many requests of a pod wait now."""
        assert self.wire is not None
        return len(self.wire._polls._waiting.get(uid, ()))

    def count(self, path: str, outcome: str) -> float:
        return float(self.instruments.wire_requests.labels(path, outcome)._value.get())

    def writes(self, outcome: str) -> float:
        return float(self.instruments.status_writes.labels(outcome)._value.get())


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def wire_world(folder: Path) -> AsyncIterator[WireWorld]:
    """A fake API server without a NodeTuning, and a client."""
    api = AgentApi(folder)
    await api.start()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(40))
    try:
        yield WireWorld(api, folder, session)
    finally:
        await session.close()
        await api.stop()
