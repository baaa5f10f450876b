"""What the checks of live changes see: wrong answers, gaps at swaps, tails after changes; with numbers by hand."""

from __future__ import annotations

import random
import socket
import struct
import threading
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from bench.engine.busy import _used, warning
from bench.engine.change_seconds import Change, in_flight, of_second, tail_ratio
from bench.engine.load.live_load import LiveLoad
from bench.engine.load.pipelined import PipelinedSlice, Requests, Sent, split_answer
from bench.engine.load.verdict import judge
from bench.engine.load.wire import Lost
from bench.engine.measures.hot_settings import changes, why_void
from bench.engine.swaps import bursts, speed_up, stretches, swap_gap

REFERENCES = {
    "1/base": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "1/int8": np.array([[1.1, 2.0], [3.1, 4.0]], np.float32),
}
TOLERANCES = {"1/base": 1e-3, "1/int8": 0.2}  # in 8 bits batches move answers far


def sent(row: int, values: list[float], *, version: str = "1/base", echoed: int = 0, status: int = 200) -> Sent:
    body = msgspec.json.encode({"id": f"r{echoed:08d}", "outputs": [{"data": values}]})
    return Sent(row, 0, 0.0, received=1.0, status=status, version=version, body=body)


@pytest.mark.parametrize(
    ("log", "counts"),
    [
        (sent(0, [1.0, 2.0]), (1, 0, 0, 0)),
        (sent(1, [3.1, 4.0], version="1/int8"), (1, 0, 0, 0)),
        (sent(1, [3.1, 4.0], version="1/base"), (1, 0, 0, 1)),  # the arithmetic of the other version
        (sent(1, [3.0, 4.0], version="1/int8"), (1, 0, 0, 1)),
        (sent(1, [3.07, 4.0], version="1/int8"), (1, 0, 0, 0)),  # nearer to its own version
        (sent(0, [1.01, 2.0]), (1, 0, 0, 1)),  # further than batches move it
        (sent(0, [3.0, 4.0]), (1, 0, 0, 1)),  # the answer to another input
        (sent(0, [1.0, 2.0], version="1/other"), (1, 0, 0, 1)),
        (sent(0, [1.0]), (1, 0, 0, 1)),
        (sent(0, [1.0, 2.0], echoed=7), (1, 0, 1, 0)),
        (sent(0, [1.0, 2.0], status=503), (0, 1, 0, 0)),
        (Sent(0, 0, 0.0), (0, 1, 0, 0)),
    ],
)
def test_an_answer_is_right_dropped_reordered_or_mixed(log: Sent, counts: tuple[int, ...]) -> None:
    found = judge([log], REFERENCES, TOLERANCES)
    assert (found.answered, found.dropped, found.reordered, found.mixed) == counts


def test_how_near_an_answer_came_to_another_version_is_told() -> None:
    found = judge([sent(1, [3.07, 4.0], version="1/int8")], REFERENCES, TOLERANCES)
    assert found.closest_call == pytest.approx(3 / 7, abs=1e-4)
    assert found.largest_difference == {"1/int8": pytest.approx(0.03, abs=1e-5)}


@pytest.fixture
def echo_port() -> Iterator[int]:
    """A server that answers pipelined requests with their own id and version 1/base; it hangs up at row 9."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    yield int(listener.getsockname()[1])
    listener.close()


def accept(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection: socket.socket) -> None:
    received = b""
    with connection:
        while data := connection.recv(65536):
            received += data
            while b"\r\n\r\n" in received:
                head, _, rest = received.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                if len(rest) < length:
                    break
                question, received = msgspec.json.decode(rest[:length]), rest[length:]
                values = question["inputs"][0]["data"]
                if values == [9.0]:
                    return
                body = msgspec.json.encode({"id": question["id"], "outputs": [{"data": values}]})
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nTrimtab-Version: 1/base\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                )


def test_pipelined_requests_have_ids_of_their_own_and_each_its_answer(echo_port: int) -> None:
    rows = [[1.0], [2.0], [3.0]]
    references = {"1/base": np.array(rows, np.float32)}
    log = PipelinedSlice(Requests(rows, echo_port), echo_port).closed(8, 5.0, 200)
    found = judge(log, references, {})
    assert (len(log), found.answered, found.dropped, found.reordered, found.mixed) == (200, 200, 0, 0, 0)
    due = [0.001 * number for number in range(100)]
    found = judge(PipelinedSlice(Requests(rows, echo_port), echo_port).open(due), references, {})
    assert (found.answered, found.dropped, found.reordered, found.mixed) == (100, 0, 0, 0)


def test_under_swaps_no_answer_waits_for_another_request_of_its_connection() -> None:
    """The server answers the newest of 32 requests first, as an engine may that forms batches of like lengths."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        threading.Thread(target=answer_newest_first, args=(listener, 32), daemon=True).start()
        port = int(listener.getsockname()[1])
        found = LiveLoad("trivial", port, 8).run({"kind": "swaps", "depth": 8, "seconds": 0.2})
    versions = found["versions"]
    assert versions == sorted(versions), "each version's answers come before the next one's"
    assert versions.count("00") == versions.count("01") == 8


def answer_newest_first(listener: socket.socket, requests: int) -> None:
    """Answer in batches of 8, the newest request first; the version is the number of the batch."""
    connections = [listener.accept()[0] for _ in range(requests)]
    for number in range(requests // 8):
        for connection in connections[::-1][8 * number : 8 * number + 8]:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTrimtab-Version: %02d\r\nContent-Length: 0\r\n\r\n" % number)
    for connection in connections:
        connection.close()


def test_what_waits_on_a_connection_that_is_lost_is_dropped_and_nothing_hangs(echo_port: int) -> None:
    log = PipelinedSlice(Requests([[1.0], [9.0]], echo_port), echo_port, connections=2).open([0.0, 0.01, 0.02, 0.03])
    found = judge(log, {"1/base": np.array([[1.0], [9.0]], np.float32)}, {})
    assert found.answered + found.dropped == len(log) == 4
    assert found.dropped >= 1


def test_a_connection_that_breaks_while_a_request_is_half_sent_is_dropped_and_nothing_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        slice_ = PipelinedSlice(Requests([[1.0] * 2_000_000], port), port, connections=1)
        broken, _ = listener.accept()
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed politely
        threading.Timer(0.1, broken.close).start()
        log = slice_.open([0.0, 0.3])
    assert [sent.received for sent in log] == [None, None]


def test_answers_on_one_connection_are_split_where_each_ends() -> None:
    one = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ntrimtab-version: 1/base\r\n\r\nab"
    assert split_answer(one + b"HTTP") == (200, "1/base", b"ab", b"HTTP")
    assert split_answer(one[:-1]) is None
    with pytest.raises(Lost):
        split_answer(b"HTTP/1.1 200 OK\r\n\r\n")


def log_of(batches: list[tuple[str, float]], size: int = 8) -> tuple[list[float], list[str]]:
    """Answers in bursts: each batch takes its seconds, its answers come within a millisecond."""
    received, versions, now = [], [], 0.0
    for version, seconds in batches:
        now += seconds
        for answer in range(size):
            received.append(now - 0.001 * (size - 1 - answer) / size)
            versions.append(version)
    return received, versions


def turns(extra_seconds: float, *, base_seconds: float = 0.05, plan_seconds: float = 0.04) -> list[tuple[str, float]]:
    usual = {"1/base": base_seconds, "1/int8": plan_seconds}
    return [
        (version, usual[version] + (extra_seconds if position == 0 and turn > 0 else 0.0))
        for turn in range(20)
        for version in [("1/base", "1/int8")[turn % 2]]
        for position in range(12)
    ]


def test_the_rates_of_the_stretches_between_swaps_give_the_speed_up() -> None:
    found = bursts(*log_of(turns(0.03)), 8)
    assert len(found) == 240
    assert {burst.answers for burst in found} == {8}
    measured = speed_up(stretches(found), "1/base")
    assert measured is not None
    assert measured[0].mean == pytest.approx(1.25)
    assert measured[1].mean == pytest.approx(1.0)
    assert speed_up(stretches(found[:10]), "1/base") is None


def test_what_slows_every_fourth_stretch_is_no_difference_of_the_original_to_itself() -> None:
    slowed = [
        (("1/base", "1/int8")[turn % 2], 0.05 if turn % 4 else 0.06) for turn in range(160) for position in range(12)
    ]
    measured = speed_up(stretches(bursts(*log_of(slowed), 8)), "1/base")
    assert measured is not None
    itself = measured[1]
    assert itself.low < 1.0 < itself.high
    assert itself.pairs == 80


@pytest.mark.parametrize("extra_seconds", [0.0, 0.03, 0.2])
def test_the_gap_at_a_swap_is_what_its_batch_took_longer_than_its_version_does(extra_seconds: float) -> None:
    gap = swap_gap(bursts(*log_of(turns(extra_seconds)), 8))
    assert gap is not None
    assert gap.swaps == 19
    assert gap.mean == pytest.approx(extra_seconds / 0.05, abs=1e-6)


def test_without_a_swap_there_is_no_gap() -> None:
    assert swap_gap(bursts(*log_of([("1/base", 0.05)] * 20), 8)) is None
    assert bursts([], [], 8) == []


def test_a_tail_that_is_longer_after_changes_shows_in_the_ratio() -> None:
    dice = np.random.default_rng(2)
    quiet = [dice.lognormal(-3, 0.2, 120) for _ in range(100)]
    same = tail_ratio([dice.lognormal(-3, 0.2, 120) for _ in range(100)], quiet)
    longer = tail_ratio([1.5 * dice.lognormal(-3, 0.2, 120) for _ in range(100)], quiet)
    assert same is not None
    assert longer is not None
    assert same.low < 1.0 < same.high < 1.2
    assert longer.low > 1.3
    assert tail_ratio([np.array([])] * 100, quiet) is None
    with pytest.raises(ValueError, match="1 change-seconds beside 100"):
        tail_ratio(quiet[:1], quiet)


def test_what_a_change_second_shares_with_the_quiet_one_after_it_does_not_widen_the_interval() -> None:
    dice = np.random.default_rng(3)
    machine = dice.lognormal(0.0, 0.5, 100)
    changed, quiet = ([slow * dice.lognormal(-3, 0.1, 120) for slow in machine] for _ in range(2))
    together, apart = tail_ratio(changed, quiet), tail_ratio(changed, quiet[1:] + quiet[:1])
    assert together is not None
    assert apart is not None
    assert together.high - together.low < 0.5 * (apart.high - apart.low)


def test_a_second_holds_what_was_due_in_it() -> None:
    scheduled, latencies = np.array([0.5, 1.0, 1.9, 2.0]), np.array([1.0, 2.0, 3.0, 4.0])
    assert of_second(1.0, scheduled, latencies).tolist() == [2.0, 3.0]


def test_a_change_counts_where_requests_were_under_way_from_its_serving_to_its_force() -> None:
    scheduled, received = np.array([0.0, 1.0]), np.array([0.5, 1.2])
    made = [Change(0.1, 0.2), Change(0.4, 0.6), Change(1.05, 1.1), Change(2.0, 2.1)]
    assert in_flight(made, scheduled, received) == 2


@pytest.mark.parametrize(
    ("counts", "void"),
    [((110, 95, 20_000), False), ((99, 99, 20_000), True), ((110, 94, 1 << 20), True), ((110, 110, 19_999), True)],
)
def test_a_run_with_too_little_in_flight_says_nothing(counts: tuple[int, int, int], void: bool) -> None:
    assert bool(why_void(*counts)) is void


def test_each_change_differs_from_the_one_before_and_formats_take_turns() -> None:
    made = [settings for settings, _ in zip(changes(("None", "Int8")), range(110), strict=False)]
    assert all(one != other for one, other in pairwise(made))
    assert {settings["quantization"] for settings in made} == {"None", "Int8"}


def test_a_busy_machine_is_told_by_name_and_a_cluster_with_its_remedy() -> None:
    assert warning({"python": 0.1}) == ""
    told = warning({"kube-apiserver": 0.3, "python": 0.1})
    assert "0.40 cores (kube-apiserver 0.30, python 0.10)" in told
    assert "python -m dev.cluster down" in told
    assert "cluster" not in warning({"cc1plus": 0.9})


def test_the_name_of_a_process_may_hold_brackets() -> None:
    fields = " ".join(["S", *map(str, range(20))])
    assert _used(f"12 (a (b) c) {fields}") == ("a (b) c", (10 + 11) / 100)


def test_two_versions_never_share_a_burst() -> None:
    dice = random.Random(1)
    received = sorted(dice.random() for _ in range(50))
    versions = [dice.choice(["a", "b"]) for _ in received]
    found = bursts(received, versions, 8)
    turns_of_version = sum(one != other for one, other in pairwise(versions))
    assert sum(burst.answers for burst in found) == 50
    assert len(found) > turns_of_version > 10
