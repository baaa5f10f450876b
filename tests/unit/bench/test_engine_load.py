"""What the load generator counts, beside a server of a few lines that misbehaves on demand."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

import msgspec
import pytest

from bench.engine.corpus import Corpus, is_answer, request_bytes
from bench.engine.load.cpu import cpu_seconds
from bench.engine.load.slices import OpenSlice, Target, closed_slice
from bench.engine.load.wire import Lost, parse
from bench.server_process import tree

ROWS = Corpus([[1.0], [2.0], [3.0]], [[2.0], [3.0], [4.0]], 0.0)
Behaviour = Callable[[dict], bytes | None]


def right(question: dict) -> bytes:
    values = [value + 1 for value in question["inputs"][0]["data"]]
    return http(200, msgspec.json.encode({"id": question["id"], "outputs": [{"data": values}]}))


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.fixture
def serve() -> Iterator[Callable[[Behaviour], int]]:
    listeners: list[socket.socket] = []

    def start(behaviour: Behaviour) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=accept, args=(listener, behaviour), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        listener.close()


def accept(listener: socket.socket, behaviour: Behaviour) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(connection, behaviour), daemon=True).start()


def answer(connection: socket.socket, behaviour: Behaviour) -> None:
    with connection:
        try:
            while received := connection.recv(65536):
                reply = behaviour(msgspec.json.decode(received.split(b"\r\n\r\n", 1)[1]))
                if reply is None:
                    return
                connection.sendall(reply)
        except OSError:
            return


def open_loop(port: int, requests: int = 20, deadline_seconds: float = 0.2) -> dict[str, object]:
    target = Target(ROWS, "v2", port)
    arrivals = [0.004 * number for number in range(requests)]
    return asdict(OpenSlice(target, deadline_seconds).run(arrivals, os.getpid(), 0))


def test_right_answers_in_time_are_good(serve: Callable[[Behaviour], int]) -> None:
    seen = open_loop(serve(right))
    assert (seen["offered"], seen["good"]) == (20, 20)


def test_every_request_has_one_fate_whatever_the_server_does(serve: Callable[[Behaviour], int]) -> None:
    turn = iter(range(1000))

    def changing(question: dict) -> bytes | None:
        kind = next(turn) % 5
        if kind == 0:
            return http(503, b"")
        if kind == 1:
            return right({**question, "id": "r99"})
        if kind == 2:
            return None
        if kind == 3:
            time.sleep(0.3)
        return right(question)

    seen = open_loop(serve(changing), 50, 0.1)
    fates = [seen[name] for name in ("good", "refused", "wrong", "lost", "late", "unsent")]
    assert sum(fates) == seen["offered"] == 50
    assert all(fates[:5])


def test_a_request_is_late_by_its_schedule_not_by_when_it_was_sent(serve: Callable[[Behaviour], int]) -> None:
    target = Target(ROWS, "v2", serve(right))
    seen = OpenSlice(target, 0.1).run([-0.5, 0.0], os.getpid(), 0)
    assert (seen.good, seen.late) == (1, 1)


def test_a_closed_loop_counts_what_its_callers_get(serve: Callable[[Behaviour], int]) -> None:
    seen = closed_slice(Target(ROWS, "v2", serve(right)), os.getpid(), 4, 0.05, 0.2)
    assert seen.good == seen.offered > 20
    assert seen.cpu_seconds > 0
    assert 0.2 <= seen.seconds < 1


def test_a_closed_loop_whose_server_hangs_up_is_lost(serve: Callable[[Behaviour], int]) -> None:
    with pytest.raises(Lost):
        closed_slice(Target(ROWS, "v2", serve(lambda _: None)), os.getpid(), 2, 0.0, 0.2)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", (200, b"ab")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nx: y\r\n\r\na", None),
        (b"HTTP/1.1 200 OK\r\nCont", None),
        (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", (503, b"abc")),
    ],
)
def test_a_response_is_read_whole_or_not_yet(received: bytes, expected: tuple[int, bytes] | None) -> None:
    assert parse(received) == expected


@pytest.mark.parametrize("received", [b"no HTTP at all\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_is_no_response_is_lost(received: bytes) -> None:
    with pytest.raises(Lost):
        parse(received)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("v2", {"id": "r7", "outputs": [{"data": [2.0, 3.0]}]}),
        ("list", [{"data": [2.0, 3.0]}]),
        ("openai", {"data": [{"embedding": [2.0, 3.0]}]}),
    ],
)
def test_an_answer_is_known_by_its_numbers_in_each_dialect(dialect: str, body: object) -> None:
    encoded = msgspec.json.encode(body)
    assert is_answer(encoded, 7, [2.0, 3.0005], dialect=dialect, tolerance=1e-3)
    assert not is_answer(encoded, 7, [2.0, 3.1], dialect=dialect, tolerance=1e-3)
    assert not is_answer(encoded, 7, [2.0], dialect=dialect, tolerance=1e-3)
    assert not is_answer(b"{}", 7, [2.0, 3.0], dialect=dialect, tolerance=1e-3)


def test_an_answer_with_the_id_of_another_request_is_wrong() -> None:
    body = msgspec.json.encode({"id": "r7", "outputs": [{"data": [2.0]}]})
    assert not is_answer(body, 8, [2.0], dialect="v2", tolerance=0.0)


def test_all_contenders_but_infinity_are_sent_the_same_bytes() -> None:
    sent = {dialect: request_bytes("a text", 3, dialect=dialect, port=80) for dialect in ("v2", "list", "openai")}
    assert sent["v2"] == sent["list"] != sent["openai"]


def test_cpu_time_is_that_of_all_processes_of_a_tree() -> None:
    before = cpu_seconds(tree(os.getpid()))
    end = time.thread_time() + 0.05
    while time.thread_time() < end:
        pass
    assert cpu_seconds(tree(os.getpid())) - before >= 0.045
    assert os.getpid() in tree(os.getpid())


def test_a_process_that_is_gone_counts_nothing() -> None:
    assert cpu_seconds([2**22 - 1]) == 0.0
