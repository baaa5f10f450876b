"""Heads that were parsed before: read from memory exactly as the parser read them, or not at all."""

from __future__ import annotations

import pytest
from fakes.echo_server import a_post, an_echo_server, answer
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_engine.http_heads import KnownHeads, RequestHead

POST = b"POST /p?q HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
HEAD = RequestHead("POST", "/p", {b"host": b"x", b"content-length": b"3"}, 3)


def knowing(data: bytes, head: RequestHead = HEAD, lines: int = 2) -> KnownHeads:
    heads = KnownHeads()
    heads.note(data, head, lines)
    return heads


def test_a_request_in_one_piece_whose_head_is_known_is_found_with_its_body() -> None:
    heads = knowing(POST + b"abc")
    assert heads.find(POST + b"xyz") == (HEAD, b"xyz")


@pytest.mark.parametrize("data", [POST, POST + b"ab", POST + b"abcd", POST[:-2], b"", b"\r\n" + POST + b"abc"])
def test_less_or_more_than_one_request_is_left_to_the_parser(data: bytes) -> None:
    assert knowing(POST + b"abc").find(data) is None


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"\r\n\r\n" + POST + b"abc", 2),  # an empty line before the request, which the parser skips
        (b"POST /p HTTP/1.1\nHost: x\nContent-Length: 3\n\nab\r\n\r\n", 2),  # ended before the first \r\n\r\n
        (b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n folded\r\n\r\n", 2),
        (POST[:-4], 2),  # the head did not come in one piece
    ],
)
def test_a_head_whose_lines_do_not_tally_is_not_remembered(data: bytes, lines: int) -> None:
    assert len(knowing(data, lines=lines)) == 0


@pytest.mark.parametrize("header", [b"expect", b"transfer-encoding", b"upgrade"])
def test_a_head_that_asks_for_more_than_its_length_says_is_not_remembered(header: bytes) -> None:
    assert len(knowing(POST, RequestHead("POST", "/p", {header: b"x", b"host": b"x"}, 3))) == 0


def test_the_memory_is_bounded_in_number_and_size() -> None:
    heads = KnownHeads()
    for number in range(5000):
        heads.note(b"GET /%d HTTP/1.1\r\n\r\n" % number, HEAD, 0)
    assert 0 < len(heads) <= 512
    assert len(knowing(b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n", lines=0)) == 0


pieces = st.sampled_from(
    [
        a_post("/a", b"one"),
        a_post("/a", b"two"),
        a_post("/a?query", b""),
        a_post("/b", b"\r\n\r\nPOST /a HTTP/1.1\r\n\r\n"),
        b"\r\n" + a_post("/a", b"one"),
        b"GET /g HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        a_post("/u", b"body", "Connection: Upgrade", "Upgrade: h2c"),
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(pieces, min_size=1, max_size=3), min_size=1, max_size=6))
async def test_what_is_asked_is_understood_alike_the_first_time_and_again(bursts: list[list[bytes]]) -> None:
    async with an_echo_server() as (_, _echo, connect):
        reader, writer = await connect()
        told = []
        for _ in range(2):  # the second time every head has been parsed before
            for burst in bursts:
                writer.write(b"".join(burst))
                told += [(await answer(reader))[2] for _ in burst]
        assert told[: len(told) // 2] == told[len(told) // 2 :]
        assert told[: len(told) // 2] == [said(request) for burst in bursts for request in burst]
        writer.close()


def said(request: bytes) -> bytes:
    method, target, _ = request.strip(b"\r\n").split(b" ", 2)
    body = request.lstrip(b"\r\n").partition(b"\r\n\r\n")[2]
    return method + b" " + target.partition(b"?")[0] + b" " + (b"hi" if target == b"/c" else body)
