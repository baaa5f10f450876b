"""The link's thread against an agent that says no in every way that the wire has."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes.engine_agent import EngineAgent, a_document

from trimtab_engine.agent_link.client import AgentClient
from trimtab_engine.agent_link.link import AgentLink
from trimtab_engine.log import Log
from trimtab_engine.metrics import EngineMetrics
from trimtab_engine.settings import LiveSettings, read_settings

PATIENCE_SECONDS = 30


class Linked:
    """A client on its way to the agent, and what came of it."""

    def __init__(self, agent: EngineAgent) -> None:
        self.applied: list[LiveSettings] = []
        self.settled = asyncio.Event()
        self._lines = io.StringIO()
        log = Log(self._lines)
        settings = read_settings({"TRIMTAB_MODEL": "package:m", **agent.environment}).agent
        assert settings is not None
        link = AgentLink(
            started=LiveSettings(),
            apply=self.applied.append,
            settled=self.settled.set,
            later=asyncio.get_running_loop().call_later,
            metrics=EngineMetrics("m").link,
            log=log,
        )
        self.client = AgentClient(settings, link, log)

    def states(self) -> list[tuple[str, str]]:
        events = [json.loads(line) for line in self._lines.getvalue().splitlines()]
        return [(event["state"], event["reason"]) for event in events if event["event"] == "agent_state"]


@asynccontextmanager
async def linked_to(
    directory: Path, prepare: Callable[[EngineAgent], None]
) -> AsyncIterator[tuple[EngineAgent, Linked]]:
    agent = EngineAgent(directory)
    prepare(agent)
    agent.start()
    linked = Linked(agent)
    linked.client.start()
    try:
        yield agent, linked
    finally:
        linked.client.close()
        await asyncio.to_thread(agent.stop)
        await asyncio.to_thread(linked.client._thread.join, PATIENCE_SECONDS)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110  polls with a deadline
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        (503, "NotSynced", ("connecting", "NotSynced")),
        (401, "TokenExpired", ("refused", "TokenExpired")),
        (403, "OtherNode", ("refused", "OtherNode")),
        (500, "", ("lost", "Status500")),
        (404, "", ("lost", "Status404")),
        (404, "UnknownPath", ("lost", "UnknownPath")),
        (302, "", ("lost", "Status302")),
        (429, "TooMany", ("attached", "TooMany")),
        (500, "not one word: <script>", ("lost", "Status500")),
    ],
)
async def test_each_answer_has_its_state_changes_nothing_and_is_asked_again(
    tmp_path: Path, status: int, reason: str, state: tuple[str, str]
) -> None:
    def prepare(agent: EngineAgent) -> None:
        agent.refusals.append((status, reason, {}))
        agent.serve(a_document({"maxBatchSize": 16}))

    async with linked_to(tmp_path, prepare) as (_, linked):
        await until(lambda: state in linked.states())
        assert not linked.settled.is_set()
        assert linked.applied == []
        await until(lambda: linked.applied)
        await until(lambda: linked.states()[-1] == ("attached", "Answered"))
        assert linked.applied == [LiveSettings(max_batch_size=16)]


async def test_the_agents_wish_to_be_left_alone_is_respected(tmp_path: Path) -> None:
    def prepare(agent: EngineAgent) -> None:
        agent.refusals.append((429, "TooMany", {"Retry-After": "2"}))
        agent.serve(a_document({"maxBatchSize": 16}))

    began = time.monotonic()
    async with linked_to(tmp_path, prepare) as (_, linked):
        await until(lambda: linked.applied)
        assert time.monotonic() - began >= 2.0


async def test_an_agent_that_never_waits_is_not_asked_without_end(tmp_path: Path) -> None:
    def prepare(agent: EngineAgent) -> None:
        agent.patience_seconds = 0.0

    async with linked_to(tmp_path, prepare) as (agent, linked):
        await linked.settled.wait()
        began, before = time.monotonic(), agent.questions
        await until(lambda: agent.questions >= before + 5)
        assert time.monotonic() - began >= 0.35


async def test_the_report_comes_again_when_the_agent_does(tmp_path: Path) -> None:
    def prepare(agent: EngineAgent) -> None:
        agent.serve(a_document({"maxBatchSize": 16}))

    async with linked_to(tmp_path, prepare) as (agent, linked):
        await until(lambda: len(agent.reports) == 2)  # as it started, and with the document
        await asyncio.to_thread(agent.stop)
        await until(lambda: linked.states()[-1][0] == "lost")
        agent.start()
        await until(lambda: len(agent.reports) == 3)
        assert agent.reports[2].body == agent.reports[1].body
        assert linked.applied == [LiveSettings(max_batch_size=16)]  # the known entry is not sent again


async def test_a_report_that_the_agent_does_not_take_does_not_keep_settings_away(tmp_path: Path) -> None:
    def prepare(agent: EngineAgent) -> None:
        agent.report_status = 400
        agent.serve(a_document({"maxBatchSize": 16}))

    async with linked_to(tmp_path, prepare) as (_, linked):
        await until(lambda: linked.applied)
        assert linked.states()[-1] == ("attached", "Answered")
