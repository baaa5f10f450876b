"""Bounds of the wire: rates, back-off, remembered tokens, and connections of nobody knows whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.agent_api import REVIEWS, AgentApi, pod_token
from fakes.agent_wire import WireWorld, entry, hang_up, until, wire_world

from trimtab_agent.engines import protocol
from trimtab_agent.engines.identity import PodIdentity, Refusal
from trimtab_agent.engines.kube import ApiAccess, ApiUnavailableError, KubeApi
from trimtab_agent.engines.pace import Backoff, Buckets, Rate, TokenBucket
from trimtab_agent.engines.polls import Polls, Wake
from trimtab_agent.engines.token_review import MAX_REMEMBERED, ReviewUnavailableError, TokenReviews
from trimtab_agent.engines.token_review import REVIEWS as REVIEW_RATE


@dataclass
class Reviewing:
    """Token reviews with a clock that the test sets."""

    api: AgentApi
    reviews: TokenReviews
    clock: list[float]

    @property
    def asked(self) -> int:
        return self.api.asked("POST", REVIEWS)

    async def names(self, token: str = "good") -> bool:
        return isinstance(await self.reviews.judge(token), PodIdentity)


@pytest.fixture
async def reviewing(tmp_path: Path) -> AsyncIterator[Reviewing]:
    async with wire_world(tmp_path) as world:
        kube, clock = _kube(world), [0.0]
        world.api.tokens["good"] = pod_token("a", "node-1")
        yield Reviewing(world.api, TokenReviews(kube, "node-1", lambda: clock[0]), clock)
        await kube.close()


def _kube(world: WireWorld, seconds: float = 10.0) -> KubeApi:
    server = world.environment()["TRIMTAB_API_SERVER"]
    return KubeApi(ApiAccess(server, world.folder / "token", world.folder / "ca.crt"), seconds)


async def test_an_accepted_token_is_reviewed_again_after_a_minute(reviewing: Reviewing) -> None:
    for at, asked in ((0, 1), (60, 1), (60.1, 2)):
        reviewing.clock[0] = at
        assert await reviewing.names()
        assert reviewing.asked == asked


async def test_a_refused_token_is_reviewed_again_after_five_seconds(reviewing: Reviewing) -> None:
    for at, asked in ((0, 1), (5, 1), (5.1, 2)):
        reviewing.clock[0] = at
        assert await reviewing.reviews.judge("bad") is Refusal.NOT_AUTHENTICATED
        assert reviewing.asked == asked


async def test_a_token_that_is_revoked_is_refused_within_a_minute(reviewing: Reviewing) -> None:
    assert await reviewing.names()
    reviewing.api.tokens.clear()
    reviewing.clock[0] = 60.1
    assert not await reviewing.names()


async def test_while_reviews_are_away_only_known_tokens_are_believed_and_not_for_ever(reviewing: Reviewing) -> None:
    assert await reviewing.names()
    assert not await reviewing.names("bad")
    reviewing.api.away = True
    reviewing.clock[0] = 600
    assert await reviewing.names()
    for token in ("bad", "unknown"):
        with pytest.raises(ReviewUnavailableError):
            await reviewing.names(token)
    reviewing.clock[0] = 600.1
    with pytest.raises(ReviewUnavailableError):
        await reviewing.names()


async def test_new_tokens_are_reviewed_at_a_bounded_rate_and_remembered_up_to_a_bound(reviewing: Reviewing) -> None:
    assert await reviewing.names()
    for number in range(REVIEW_RATE.burst - 1):
        assert not await reviewing.names(f"forged-{number}")
    with pytest.raises(ReviewUnavailableError):
        await reviewing.names("one-more")
    reviewing.clock[0] = 61
    reviewing.reviews._bucket.take()
    assert await reviewing.names()
    assert len(reviewing.reviews._verdicts) <= MAX_REMEMBERED
    assert "forged-1" not in str(reviewing.reviews._verdicts)


async def test_no_failure_of_a_review_repeats_the_token(tmp_path: Path) -> None:
    async with wire_world(tmp_path) as world:
        kube = _kube(world)
        world.api.away = True
        with pytest.raises(ApiUnavailableError) as failure:
            await kube.review_token("secret-token", "trimtab-agent")
        await kube.close()
    assert "secret-token" not in str(failure.value)


async def test_a_call_that_is_not_answered_ends(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with wire_world(tmp_path) as world, await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        world.environment()
        access = ApiAccess(f"https://127.0.0.1:{port}", world.folder / "token", world.folder / "ca.crt")
        kube = KubeApi(access, 0.2)
        with pytest.raises(ApiUnavailableError):
            await kube.tuning("node-1")
        await kube.close()


def test_a_bucket_admits_its_burst_and_then_its_rate() -> None:
    now = [0.0]
    bucket = TokenBucket(Rate(5, 20), lambda: now[0])
    assert [bucket.take() for _ in range(20)] == [0.0] * 20
    assert bucket.take() == pytest.approx(0.2)
    now[0] = 0.2
    assert bucket.take() == 0.0
    assert bucket.take() > 0
    now[0] = 1000.0
    assert sum(bucket.take() == 0.0 for _ in range(30)) == 20


def test_buckets_are_apart_and_bounded() -> None:
    buckets = Buckets(Rate(1, 1), lambda: 0.0, 2)
    assert [buckets.retry_after_seconds(key) for key in ("a", "a", "b", "b")] == [0, 1, 0, 1]
    assert buckets.retry_after_seconds("c") == 0
    assert len(buckets._buckets) == 2
    assert buckets.retry_after_seconds("b") == 1


def test_waits_after_failures_grow_to_their_bound_and_start_again() -> None:
    backoff = Backoff(1, 4)
    waits = [backoff.next_seconds() for _ in range(5)]
    for wait, ceiling in zip(waits, (1, 2, 4, 4, 4), strict=True):
        assert ceiling / 2 <= wait <= ceiling
    backoff.reset()
    assert backoff.next_seconds() <= 1


async def test_a_wait_is_woken_for_its_own_pod_only() -> None:
    polls = Polls()
    mine = asyncio.create_task(polls.wait("a", 10))
    other = asyncio.create_task(polls.wait("b", 0.05))
    await asyncio.sleep(0)
    polls.wake({"a"})
    assert (await mine, await other) == (Wake.CHANGED, Wake.TIME_OVER)
    assert not polls._waiting
    polls.close()
    assert await polls.wait("a", 10) is Wake.DISPLACED


async def test_a_connection_without_a_request_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    async with wire_world(tmp_path) as world, world.agent():
        silent, silent_writer = await world.connect()
        slow, slow_writer = await world.connect()
        slow_writer.write(b"GET /v1/settings HTTP/1.1\r\n")
        for reader, writer in ((silent, silent_writer), (slow, slow_writer)):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
            await hang_up(writer)


async def test_a_request_that_waits_longer_than_a_head_may_take_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with wire_world(tmp_path) as world, world.agent():
        await world.api.write(entry("a"))
        known = (await world.ask(world.pod("a"), None, 5)).body["entry"]
        assert (await world.ask(world.pod("a"), known, 0.8)).status == 204


async def test_connections_above_the_bound_are_dropped_and_the_others_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 2)
    async with wire_world(tmp_path) as world, world.agent():
        kept = [await world.connect() for _ in range(2)]
        reader, writer = await world.connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        await hang_up(writer)
        await hang_up(kept[0][1])
        await until(lambda: len(world.wire._server.server_state.connections) == 1, "it left")  # type: ignore[union-attr]
        assert (await world.ask("unknown")).status == 401
        await hang_up(kept[1][1])
