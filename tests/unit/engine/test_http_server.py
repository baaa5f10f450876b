"""The HTTP layer on real sockets: pipelining, chunks, limits, time-outs, draining."""

from __future__ import annotations

import asyncio

import pytest
from fakes.echo_server import a_post, an_echo_server, answer, at_end, until

from trimtab_engine.errors import EngineError
from trimtab_engine.routes.error_form import error_response


async def test_pipelined_requests_are_answered_in_order_even_when_they_end_out_of_order() -> None:
    async with an_echo_server() as (_, echo, connect):
        reader, writer = await connect()
        writer.write(a_post("/hold/1", b"a") + a_post("/2", b"b") + a_post("/hold/3", b"c") + a_post("/4", b"d"))
        await until(lambda: len(echo.held) == 2)
        for request, exchange in reversed(echo.held):
            echo.answer(request, exchange)
        bodies = [(await answer(reader))[2] for _ in range(4)]
        assert bodies == [b"POST /hold/1 a", b"POST /2 b", b"POST /hold/3 c", b"POST /4 d"]
        writer.close()


async def test_a_thousand_pipelined_requests_lose_nothing() -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        writer.write(b"".join(a_post(f"/{number}", b"x") for number in range(1000)))
        for number in range(1000):
            assert (await answer(reader))[2] == f"POST /{number} x".encode()
        writer.close()


async def test_a_request_may_come_byte_by_byte() -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        for byte in a_post("/slow", b"body"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert (await answer(reader))[2] == b"POST /slow body"
        writer.close()


async def test_chunked_bodies_are_joined() -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        head = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" + a_post("/next", b""))
        assert (await answer(reader))[2] == b"POST /c abcde"
        assert (await answer(reader))[2] == b"POST /next "
        writer.close()


async def test_expect_100_continue_is_answered_before_the_body_is_sent() -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        writer.write(b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await answer(reader))[0] == 100
        writer.write(b"ok")
        assert (await answer(reader))[2] == b"POST /e ok"
        writer.close()


async def test_an_offer_to_upgrade_is_ignored_and_the_connection_lives_on() -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        writer.write(a_post("/u", b"body", "Connection: Upgrade", "Upgrade: h2c") + a_post("/next", b""))
        assert (await answer(reader))[2] == b"POST /u body"
        assert (await answer(reader))[2] == b"POST /next "
        writer.close()


async def test_http_1_0_and_connection_close_end_the_connection() -> None:
    for request in (b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        async with an_echo_server() as (_, _echo, connect):
            reader, writer = await connect()
            writer.write(request)
            status, headers, _ = await answer(reader)
            assert (status, headers["connection"]) == (200, "close")
            assert await at_end(reader)
            writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason"),
    [
        (b"hello\r\n\r\n", 400, "BadRequest"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "BadRequest"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "BadRequest"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413, "TooLarge"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413, "TooLarge"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + bytes(2000), 413, "TooLarge"),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", 431, "HeadersTooLarge"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n", 431, "HeadersTooLarge"),
    ],
)
async def test_what_is_malformed_or_too_large_is_answered_and_ends_the_connection(
    request_bytes: bytes, status: int, reason: str
) -> None:
    async with an_echo_server() as (server, _, connect):
        reader, writer = await connect()
        writer.write(request_bytes)
        found, headers, body = await answer(reader)
        assert (found, headers["trimtab-reason"], headers["connection"]) == (status, reason.lower(), "close")
        assert body.startswith(b'{"error":')
        assert await at_end(reader)
        writer.close()
        assert server.outstanding == 0


async def test_a_body_refused_late_still_lets_the_client_read_the_answer() -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n" + bytes(2_000_000))
        assert (await answer(reader))[0] == 413
        writer.close()


async def test_answers_due_before_a_malformed_request_are_still_sent() -> None:
    async with an_echo_server() as (_, echo, connect):
        reader, writer = await connect()
        writer.write(a_post("/hold", b"a") + b"nonsense\r\n\r\n")
        await until(lambda: echo.held)
        echo.answer(*echo.held[0])
        assert (await answer(reader))[2] == b"POST /hold a"
        assert (await answer(reader))[0] == 400
        writer.close()


@pytest.mark.parametrize("sent", [b"GET / HT", a_post("/", b"abc")[:-1]], ids=["headers", "body"])
async def test_a_client_that_never_ends_its_request_is_answered_408(sent: bytes) -> None:
    async with an_echo_server(read_timeout_seconds=0.2) as (_, _echo, connect):
        reader, writer = await connect()
        writer.write(sent)
        status, headers, _ = await answer(reader)
        assert (status, headers["connection"]) == (408, "close")
        writer.close()


async def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    async with an_echo_server(read_timeout_seconds=0.2) as (server, _, connect):
        reader, writer = await connect()
        assert await at_end(reader)
        writer.close()
        await until(lambda: server.open_connections == 0)


async def test_a_connection_too_many_is_answered_503_and_the_others_are_served() -> None:
    async with an_echo_server(max_connections=2) as (_, _echo, connect):
        first, second, third = [await connect() for _ in range(3)]
        status, headers, _ = await answer(third[0])
        assert (status, headers["retry-after"]) == (503, "1")
        for reader, writer in (first, second):
            writer.write(a_post("/", b""))
            assert (await answer(reader))[0] == 200
        for _, writer in (first, second, third):
            writer.close()


async def test_the_application_hears_that_a_client_is_gone() -> None:
    async with an_echo_server() as (server, echo, connect):
        _, writer = await connect()
        writer.write(a_post("/hold", b""))
        await until(lambda: echo.held)
        writer.close()
        await until(lambda: echo.gone == ["/hold"])
        echo.answer(*echo.held[0])
        assert server.outstanding == 0


async def test_a_client_that_runs_far_ahead_is_not_read_from_until_it_is_answered() -> None:
    async with an_echo_server() as (server, echo, connect):
        reader, writer = await connect()
        writer.write(b"".join(a_post(f"/hold/{number}", bytes(900)) for number in range(5000)))
        await until(lambda: any(connection._paused for connection in server._connections))
        assert len(echo.held) < 2000
        for answered in range(5000):
            await until(lambda seen=answered: len(echo.held) > seen)
            echo.answer(*echo.held[answered])
            assert (await answer(reader))[0] == 200
        writer.close()


async def test_a_draining_server_closes_each_connection_after_its_last_answer() -> None:
    async with an_echo_server() as (server, echo, connect):
        reader, writer = await connect()
        writer.write(a_post("/hold/1", b"") + a_post("/hold/2", b""))
        await until(lambda: len(echo.held) == 2)
        server.draining = True
        for request, exchange in echo.held:
            echo.answer(request, exchange)
        assert "connection" not in (await answer(reader))[1]
        assert (await answer(reader))[1]["connection"] == "close"
        assert await at_end(reader)
        writer.close()


async def test_a_server_that_stops_listening_closes_idle_connections_and_keeps_busy_ones() -> None:
    async with an_echo_server() as (server, echo, connect):
        idle, busy = await connect(), await connect()
        for reader, writer in (idle, busy):
            writer.write(a_post("/", b""))
            await answer(reader)
        busy[1].write(a_post("/hold", b""))
        await until(lambda: echo.held)
        server.stop_listening()
        assert await at_end(idle[0])
        echo.answer(*echo.held[0])
        assert (await answer(busy[0]))[0] == 200
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await connect()
        for _, writer in (idle, busy):
            writer.close()


def test_error_forms_follow_the_protocol() -> None:
    error = EngineError("why")
    assert error_response("/v2/models/m/infer", error).body == b'{"error":"why"}'
    assert b'"type":"server_error"' in error_response("/v1/embeddings", error).body
