"""The two kinds of slices: as fast as a number of callers can ask, and at the times of a schedule."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from bench.engine.corpus import Corpus, is_answer, request_bytes
from bench.engine.load.cpu import cpu_seconds
from bench.engine.load.wire import Lost, Wire
from bench.server_process import tree
from dev.load.figures import percentile

MOST_CONNECTIONS = 1000
SILENCE_SECONDS = 20.0
"""A closed loop without one answer for so long is lost."""
_SPIN_SECONDS = 0.002
"""Before a request is due nothing sleeps: the kernel's timers would send it late."""


class Target:
    """One contender's requests, and which answers to them are known to be right."""

    def __init__(self, corpus: Corpus, dialect: str, port: int) -> None:
        self.port = port
        self.requests = [
            request_bytes(row, number, dialect=dialect, port=port) for number, row in enumerate(corpus.rows)
        ]
        self._corpus, self._dialect = corpus, dialect
        self._right: dict[int, bytes] = {}

    def accepts(self, number: int, body: bytes) -> bool:
        """Tell whether a body answers that request; one seen before costs a comparison of bytes."""
        if self._right.get(number) == body:
            return True
        expected, tolerance = self._corpus.expected[number], self._corpus.tolerance
        right = is_answer(body, number, expected, dialect=self._dialect, tolerance=tolerance)
        if right:
            self._right[number] = body
        return right


@dataclass
class SliceResult:
    """What a slice saw: the requests by their fate. `lag`: how late the load process sent, the 99th percentile."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    offered: int = 0
    good: int = 0
    late: int = 0
    refused: int = 0
    wrong: int = 0
    lost: int = 0
    unsent: int = 0
    lag_p99_seconds: float | None = None
    same_processes: bool = True


def closed_slice(target: Target, root: int, callers: int, warm_seconds: float, seconds: float) -> SliceResult:
    """Keep one request of each caller under way; what comes after the warm-up counts. Raises Lost, OSError."""
    poll = select.epoll()
    wires: dict[int, Wire] = {}
    result = SliceResult()
    pids = tree(root)
    counting, cpu, position = False, 0.0, 0
    start = time.perf_counter() + warm_seconds
    try:
        for _ in range(callers):
            wire = Wire(target.port)
            wires[wire.socket.fileno()] = wire
            poll.register(wire.socket, select.EPOLLIN)
            wire.send(target.requests[position], position, time.perf_counter())
            position = (position + 1) % len(target.requests)
        while True:
            events = poll.poll(SILENCE_SECONDS)
            if not events:
                raise Lost
            now = time.perf_counter()
            if not counting and now >= start:
                counting, start, cpu = True, now, cpu_seconds(pids)
            elif counting and now >= start + seconds:
                break
            for descriptor, _ in events:
                wire = wires[descriptor]
                answer = wire.receive()
                if answer is None:
                    continue
                if counting:
                    _count(result, target, wire.number, answer)
                position = (position + 1) % len(target.requests)
                wire.send(target.requests[position], position, now)
    finally:
        for wire in wires.values():
            wire.close()
        poll.close()
    result.seconds = now - start
    result.cpu_seconds = cpu_seconds(pids) - cpu
    result.same_processes = tree(root) == pids
    return result


def _count(result: SliceResult, target: Target, number: int, answer: tuple[int, bytes]) -> None:
    status, body = answer
    result.offered += 1
    if status != 200:
        result.refused += 1
    elif target.accepts(number, body):
        result.good += 1
    else:
        result.wrong += 1


class OpenSlice:
    """Requests at the times of a schedule; each must be answered by its deadline or its connection is closed."""

    def __init__(self, target: Target, deadline_seconds: float) -> None:
        self._target, self._deadline = target, deadline_seconds
        self._poll = select.epoll()
        self._idle: list[Wire] = []
        self._wires: dict[int, Wire] = {}
        self._waiting: deque[tuple[float, Wire, float]] = deque()
        self._lags: list[float] = []
        self._answers: list[tuple[int, tuple[int, bytes]]] = []
        self.result = SliceResult()

    def run(self, arrivals: Sequence[float], root: int, first: int) -> SliceResult:
        """Send everything and wait for the last deadline; `first` is where in the corpus the slice begins."""
        pids = tree(root)
        cpu, began = cpu_seconds(pids), time.perf_counter()
        sent = 0
        while sent < len(arrivals) or self._waiting:
            now = time.perf_counter()
            while sent < len(arrivals) and began + arrivals[sent] <= now:
                self._send((first + sent) % len(self._target.requests), began + arrivals[sent])
                sent += 1
            now = time.perf_counter()
            self._expire(now)
            due = began + arrivals[sent] if sent < len(arrivals) else now + 0.05
            for descriptor, _ in self._poll.poll(max(0.0, due - now - _SPIN_SECONDS)):
                self._receive(self._wires[descriptor])
                if time.perf_counter() >= due:  # a batch's answers come at once; what is left is reported again
                    break
        self.result.seconds = time.perf_counter() - began
        self.result.cpu_seconds = cpu_seconds(pids) - cpu
        for number, answer in self._answers:
            _count(self.result, self._target, number, answer)
        self.result.offered = len(arrivals)
        self.result.lag_p99_seconds = percentile(self._lags, 0.99)
        for wire in list(self._wires.values()):
            self._drop(wire)
        self._poll.close()
        return self.result

    def _send(self, number: int, scheduled: float) -> None:
        try:
            wire = self._idle.pop() if self._idle else self._connect()
        except OSError:
            self.result.lost += 1
            return
        if wire is None:
            self.result.unsent += 1
            return
        try:
            wire.send(self._target.requests[number], number, scheduled)
        except Lost:
            self.result.lost += 1
            self._drop(wire)
            return
        self._lags.append(time.perf_counter() - scheduled)
        self._waiting.append((scheduled + self._deadline, wire, scheduled))

    def _connect(self) -> Wire | None:
        if len(self._wires) >= MOST_CONNECTIONS:
            return None
        wire = Wire(self._target.port)
        self._wires[wire.socket.fileno()] = wire
        self._poll.register(wire.socket, select.EPOLLIN)
        return wire

    def _receive(self, wire: Wire) -> None:
        busy = wire.busy
        try:
            answer = wire.receive()
        except Lost:
            self.result.lost += busy
            self._drop(wire)
            return
        if answer is None:
            return
        if time.perf_counter() - wire.scheduled > self._deadline:
            self.result.late += 1
        else:
            self._answers.append((wire.number, answer))  # judged after the slice: sending must not wait for it
        self._idle.append(wire)

    def _expire(self, now: float) -> None:
        while self._waiting and (not self._is_open(self._waiting[0]) or self._waiting[0][0] <= now):
            entry = self._waiting.popleft()
            if self._is_open(entry):
                self.result.late += 1
                self._drop(entry[1])

    @staticmethod
    def _is_open(entry: tuple[float, Wire, float]) -> bool:
        return entry[1].busy and entry[1].scheduled == entry[2]

    def _drop(self, wire: Wire) -> None:
        wire.busy = False
        self._wires.pop(wire.socket.fileno(), None)
        if wire in self._idle:
            self._idle.remove(wire)
        wire.close()
