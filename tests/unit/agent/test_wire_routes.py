"""The wire as engines see it: real TLS and HTTP, the API server in process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.agent_api import pod_token
from fakes.agent_wire import REPORT, WireWorld, entry, hang_up, until, wire_world

from trimtab_api.wire import MAX_BODY_BYTES, entry_hash, settings_hash


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WireWorld]:
    async with wire_world(tmp_path) as found:
        yield found


async def test_an_engine_is_given_its_own_entry_with_version_and_hash(world: WireWorld) -> None:
    mine = entry("a", {"maxBatchSize": 8})
    await world.api.write(mine, entry("b", {"maxBatchSize": 16}))
    async with world.agent():
        reply = await world.ask(world.pod("a"))
        other = await world.ask(world.pod("b"))
    assert reply.status == 200
    assert reply.body == {
        "podUid": "a",
        "version": {"uid": "tuning-uid", "generation": 1, "hash": settings_hash({"maxBatchSize": 8})},
        "entry": entry_hash(mine),
        "settings": {"maxBatchSize": 8},
    }
    assert (other.body["podUid"], other.body["settings"]) == ("b", {"maxBatchSize": 16})


async def test_no_word_of_the_request_gets_another_pods_entry(world: WireWorld) -> None:
    await world.api.write(entry("a"), entry("b", {"maxBatchSize": 16}))
    async with world.agent():
        path = "/v1/settings?podUid=b&uid=b&pod=b"
        reply = await world.call("GET", path, world.pod("a"))
    assert reply.body["podUid"] == "a"


async def test_a_change_wakes_exactly_the_pods_that_it_concerns_within_half_a_second(world: WireWorld) -> None:
    first, second = entry("a"), entry("b")
    await world.api.write(first, second)
    async with world.agent():
        changed = asyncio.create_task(world.ask(world.pod("a"), entry_hash(first), 20))
        other = asyncio.create_task(world.ask(world.pod("b"), entry_hash(second), 20))
        await until(lambda: world.waiting("a") and world.waiting("b"), "both wait")
        started = time.monotonic()
        await world.api.write(entry("a", {"maxBatchSize": 8}), second)
        reply = await changed
        seconds = time.monotonic() - started
        assert not other.done()
    assert (await other).status == 204
    assert (reply.status, reply.body["settings"]) == (200, {"maxBatchSize": 8})
    assert seconds < 0.5


async def test_an_unchanged_entry_answers_204_after_the_wait_and_not_before(world: WireWorld) -> None:
    mine = entry("a")
    await world.api.write(mine)
    async with world.agent():
        started = time.monotonic()
        reply = await world.ask(world.pod("a"), entry_hash(mine), 0.3)
    assert reply.status == 204
    assert time.monotonic() - started >= 0.3
    assert world.count("settings", "unchanged") == 1


async def test_a_pod_without_entry_is_told_so_after_the_wait_and_gets_one_that_comes_meanwhile(
    world: WireWorld,
) -> None:
    async with world.agent():
        reply = await world.ask(world.pod("a"), None, 0.2)
        assert (reply.status, reply.reason) == (404, "NoEntry")
        waiting = asyncio.create_task(world.ask(world.pod("a"), None, 20))
        await until(lambda: world.waiting("a"), "it waits")
        await world.api.write(entry("a", {"maxBatchSize": 4}))
        assert (await waiting).body["settings"] == {"maxBatchSize": 4}


async def test_a_deleted_entry_is_no_document_and_its_report_is_not_taken(world: WireWorld) -> None:
    await world.api.write(entry("a"), entry("b"))
    async with world.agent() as wire:
        known = (await world.ask(world.pod("a"))).body["entry"]
        await world.api.write(entry("b"))
        await until(lambda: wire._known.entry_hash("a") is None, "the entry is gone")
        reply = await world.ask(world.pod("a"), known)
        report = await world.report(world.pod("a"), REPORT)
    assert (reply.status, reply.reason) == (404, "NoEntry")
    assert (report.status, report.reason) == (404, "NoEntry")


async def test_a_node_tuning_that_is_deleted_leaves_no_entry(world: WireWorld) -> None:
    await world.api.write(entry("a", {"maxBatchSize": 8}))
    async with world.agent() as wire:
        assert (await world.ask(world.pod("a"))).status == 200
        await until(lambda: world.api.watches == 1, "it watches")
        await world.api.delete()
        await until(lambda: wire._known.entry_hash("a") is None, "the entry is gone")
        reply = await world.ask(world.pod("a"))
    assert (reply.status, reply.reason) == (404, "NoEntry")


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        ({"authenticated": False}, 401, "NotAuthenticated"),
        (pod_token("a", "node-1", ("https://kubernetes.default.svc",)), 401, "WrongAudience"),
        (pod_token("a", "node-1", ()), 401, "WrongAudience"),
        (pod_token("a", "node-2"), 403, "OtherNode"),
        ({"authenticated": True, "audiences": ["trimtab-agent"], "user": {"username": "x"}}, 403, "NotAPod"),
    ],
)
async def test_a_token_that_is_not_a_pods_of_this_node_for_us_is_refused_on_both_paths(
    world: WireWorld, status: dict[str, Any], code: int, reason: str
) -> None:
    await world.api.write(entry("a", {"maxBatchSize": 8}))
    world.api.tokens["bad"] = status
    async with world.agent():
        replies = [await world.ask("bad"), await world.report("bad", REPORT)]
        good = await world.ask(world.pod("a"))
    assert [(reply.status, reply.reason, reply.body) for reply in replies] == [(code, reason, "")] * 2
    assert good.status == 200


@pytest.mark.parametrize("header", [None, "Basic abc", "Bearer ", "Bearer " + "x" * 9000])
async def test_a_request_without_a_token_is_disconnected_and_asks_the_api_server_nothing(
    world: WireWorld, header: str | None
) -> None:
    line = "" if header is None else f"Authorization: {header}\r\n"
    async with world.agent():
        reader, writer = await world.connect()
        writer.write(f"GET /v1/settings HTTP/1.1\r\nHost: a\r\n{line}\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)  # up to the end of the connection
        await hang_up(writer)
    assert answer.startswith(b"HTTP/1.1 401")
    assert world.api.asked("POST", "/apis/authentication.k8s.io/v1/tokenreviews") == 0


async def test_many_requests_cost_one_review_of_their_token(world: WireWorld) -> None:
    await world.api.write(entry("a"))
    async with world.agent():
        await asyncio.gather(*(world.ask(world.pod("a")) for _ in range(10)))
        await asyncio.gather(*(world.ask("forged") for _ in range(10)))
    assert world.api.asked("POST", "/apis/authentication.k8s.io/v1/tokenreviews") == 2


async def test_before_the_first_list_nobody_is_told_that_there_is_no_entry(world: WireWorld) -> None:
    await world.api.write(entry("a"))
    world.api.lists_fail = True
    async with world.agent(ready=False) as wire:
        reply = await world.ask(world.pod("a"))
        assert (reply.status, reply.reason) == (503, "NotSynced")
        assert world.count("settings", "not_synced") == 1
        assert not wire.reading().synced
        world.api.lists_fail = False
        await until(lambda: wire.reading().synced, "synced")
        assert (await world.ask(world.pod("a"))).status == 200


async def test_while_the_api_server_is_away_known_engines_are_served_what_was_last_known(world: WireWorld) -> None:
    await world.api.write(entry("a", {"maxBatchSize": 8}))
    token = world.pod("a")
    async with world.agent() as wire:
        assert (await world.ask(token)).status == 200
        await world.api.leave()
        reply = await world.ask(token)
        stranger = await world.ask(world.pod("b"))
        assert (reply.status, reply.body["settings"]) == (200, {"maxBatchSize": 8})
        assert (stranger.status, stranger.reason) == (503, "ReviewUnavailable")
        assert wire.reading().synced
        world.api.away = False
        await world.api.write(entry("a", {"maxBatchSize": 9}))
        back = await world.ask(token, reply.body["entry"], 20)
        assert back.body["settings"] == {"maxBatchSize": 9}


async def test_a_change_that_no_watch_told_is_found_by_listing_anew(world: WireWorld) -> None:
    await world.api.write(entry("a"))
    async with world.agent():
        known = (await world.ask(world.pod("a"))).body["entry"]
        await until(lambda: world.api.watches == 1, "it watches")
        lists = world.api.asked("GET", "/apis/trimtab.dev/v1alpha1/nodetunings")
        world.api.tuning = {**(world.api.tuning or {}), "spec": {"engines": [entry("a", {"maxBatchSize": 7})]}}
        await world.api.forget_history()
        reply = await world.ask(world.pod("a"), known, 20)
        assert reply.body["settings"] == {"maxBatchSize": 7}
        await until(lambda: world.api.watches == 1, "it watches again")
        assert world.api.asked("GET", "/apis/trimtab.dev/v1alpha1/nodetunings") == lists + 2


async def test_a_trial_is_served_with_its_end_and_over_it_is_served_as_its_fallback(world: WireWorld) -> None:
    def trial(ends_in_seconds: float) -> dict[str, Any]:
        ends = (datetime.now(UTC) + timedelta(seconds=ends_in_seconds)).isoformat()
        return entry("a", {"maxBatchSize": 32}, trial="t-1", expiresAt=ends, fallback={"maxBatchSize": 8})

    await world.api.write(trial(60))
    async with world.agent():
        running = (await world.ask(world.pod("a"))).body
        assert (running["settings"], running["trial"]) == ({"maxBatchSize": 32}, "t-1")
        assert running["fallback"] == {"maxBatchSize": 8}
        assert 50 < running["expiresInSeconds"] <= 60
        await world.api.write(trial(-1))
        over = (await world.ask(world.pod("a"), running["entry"], 20)).body
    assert over["settings"] == {"maxBatchSize": 8}
    assert over["version"]["hash"] == settings_hash({"maxBatchSize": 8})
    assert not {"trial", "expiresInSeconds", "fallback"} & over.keys()


async def test_a_third_request_that_waits_ends_the_oldest(world: WireWorld) -> None:
    mine = entry("a")
    await world.api.write(mine)
    async with world.agent():
        token = world.pod("a")
        polls = []
        for count in range(1, 4):
            polls.append(asyncio.create_task(world.ask(token, entry_hash(mine), 20)))
            done = max(0, count - 2)
            await until(lambda done=done: sum(poll.done() for poll in polls) == done, "the oldest is answered")  # type: ignore[misc]
            await until(lambda count=count: world.waiting("a") == min(count, 2), "it has its place")  # type: ignore[misc]
        assert polls[0].result().status == 204
        assert not polls[1].done()
        assert not polls[2].done()


async def test_one_pod_that_asks_too_fast_is_limited_and_another_is_not(world: WireWorld) -> None:
    await world.api.write(entry("a"), entry("b"))
    async with world.agent():
        replies = await asyncio.gather(*(world.ask(world.pod("a")) for _ in range(40)))
        other = await world.ask(world.pod("b"))
    limited = [reply for reply in replies if reply.status == 429]
    assert len(limited) >= 10
    assert int(limited[0].headers["Retry-After"]) >= 1
    assert sum(reply.status == 200 for reply in replies) >= 20
    assert other.status == 200


@pytest.mark.parametrize("wait", ["-1", "nan", "soon", ""])
async def test_a_wait_that_is_no_time_is_refused(world: WireWorld, wait: str) -> None:
    await world.api.write(entry("a"))
    async with world.agent():
        reply = await world.call("GET", f"/v1/settings?wait={wait}", world.pod("a"))
    assert reply.status == 400


HOSTILE = [
    b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 60_000, b'{"version": ' + b"9" * 5000 + b"}",
    json.dumps({**REPORT, "extra": 1}).encode(),
    json.dumps({**REPORT, "applied": {"maxBatchSize": "8"}}).encode(),
    json.dumps({**REPORT, "expired": "no"}).encode(),
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_bad_report_is_refused_and_changes_nothing(world: WireWorld, body: bytes) -> None:
    await world.api.write(entry("a"))
    async with world.agent() as wire:
        token = world.pod("a")
        assert (await world.report(token, REPORT)).status == 204
        before = wire._engines.seen()["a"].report
        reply = await world.report(token, body)
        assert (reply.status, reply.reason) == (400, "BadReport")
        assert wire._engines.seen()["a"].report is before
    assert (world.count("report", "accepted"), world.count("report", "bad")) == (1, 1)


async def test_a_report_that_says_it_is_too_long_is_refused_before_it_is_sent(world: WireWorld) -> None:
    await world.api.write(entry("a"))
    async with world.agent():
        reader, writer = await world.connect()
        head = f"POST /v1/report HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {world.pod('a')}\r\n"
        writer.write(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        await hang_up(writer)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_report_that_does_not_say_how_long_it_is_ends_at_the_bound(world: WireWorld) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 8192

    await world.api.write(entry("a"))
    async with world.agent():
        reader, writer = await world.connect()
        head = f"POST /v1/report HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {world.pod('a')}\r\n"
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        async for part in endless():
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            try:
                await writer.drain()
                answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 0.05)
            except TimeoutError:
                continue
            break
        await hang_up(writer)
    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_head_that_is_too_long_ends_the_connection(world: WireWorld) -> None:
    async with world.agent():
        reader, writer = await world.connect()
        writer.write(b"GET /v1/settings HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000)
        answer = await asyncio.wait_for(reader.read(), 5)
        await hang_up(writer)
    assert answer.startswith(b"HTTP/1.1 400")


async def test_who_waits_is_answered_at_once_when_the_agent_ends(world: WireWorld) -> None:
    mine = entry("a")
    await world.api.write(mine)
    async with world.agent():
        poll = asyncio.create_task(world.ask(world.pod("a"), entry_hash(mine), 30))
        await until(lambda: world.waiting("a"), "it waits")
        started = time.monotonic()
    assert (await poll).status == 204
    assert time.monotonic() - started < 3


async def test_the_agent_presents_the_token_that_its_file_holds_now(world: WireWorld) -> None:
    async with world.agent():
        (world.folder / "token").write_text("renewed")
        await world.ask("unknown")
    assert world.api.bearers == {"Bearer agent-token", "Bearer renewed"}


async def test_a_node_full_of_engines_is_read_in_one_watch_line(world: WireWorld) -> None:
    await world.api.write(entry("a"))
    async with world.agent() as wire:
        full = [entry(f"uid-{number}", {"maxBatchSize": 8}, note="x" * 1000) for number in range(256)]
        await until(lambda: world.api.watches == 1, "it watches")
        await world.api.write(*full)
        await until(lambda: wire._known.entry_hash("uid-255"), "all are known")
    assert len(json.dumps(world.api.tuning)) > 2**18
