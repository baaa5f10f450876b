"""Leader election: never two open gates, whatever fails, stops or is late; and a quick hand-over."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from fakes.clock import FakeClock, settle
from fakes.kube import FakeKube
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_operator.controllers.leadership import Elector
from trimtab_operator.errors import KubeUnavailable, LeadershipLost
from trimtab_operator.kube.gate import WriteGate
from trimtab_operator.kube.resources import LEASES
from trimtab_operator.settings import LeaseSettings

SETTINGS = LeaseSettings()


class Turn:
    """A point at which anything may happen before the awaiting call goes on."""

    def __await__(self) -> Generator[Turn, None, None]:
        yield self


@dataclass
class SlowLeases:
    """The fake's Leases with a turn before each call takes effect and another before its answer arrives."""

    kube: FakeKube
    fail_before: bool = False
    lose_answer: bool = False

    async def get_lease(self, namespace: str, name: str) -> dict[str, Any]:
        return await self._call(lambda: self.kube.get_lease(namespace, name))

    async def create_lease(self, namespace: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._call(lambda: self.kube.create_lease(namespace, body))

    async def replace_lease(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._call(lambda: self.kube.replace_lease(namespace, name, body))

    async def _call(self, effect: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        await Turn()
        if self.fail_before:
            self.fail_before = False
            raise KubeUnavailable("lease", "no connection")
        answer = await effect()
        await Turn()
        if self.lose_answer:
            self.lose_answer = False
            raise KubeUnavailable("lease", "the answer was lost")
        return answer


@dataclass
class DriftingClock:
    """A machine's clock: its own start, and up to two percent too fast or too slow."""

    world: FakeClock
    start: float
    rate: float

    def now(self) -> float:
        return self.world.now()

    def monotonic(self) -> float:
        return self.start + self.world.monotonic() * self.rate

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("attempts do not sleep")


@dataclass
class Candidate:
    """One process, driven call by call."""

    number: int
    world: FakeClock
    kube: FakeKube
    rate: float
    starts: int = 0
    running: Coroutine[Any, Any, Any] | None = None
    leases: SlowLeases = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """A new process; whatever the old one was waiting for is gone with it."""
        if self.running is not None:
            self.running.close()
            self.running = None
        self.starts += 1
        clock = DriftingClock(self.world, 1000.0 * self.number + self.starts, self.rate)
        self.gate = WriteGate(clock)
        self.leases = SlowLeases(self.kube)
        identity = f"candidate-{self.number}-{self.starts}"
        self.elector = Elector(
            self.leases, self.gate, clock, SETTINGS, namespace="system", name="lease", identity=identity
        )

    def go_on(self) -> None:
        if self.running is None:
            self.running = self.elector.attempt()
        self._send()

    def release(self) -> None:
        if self.running is None:
            self.running = self.elector.release()
            self._send()

    def _send(self) -> None:
        assert self.running is not None
        try:
            self.running.send(None)
        except StopIteration:
            self.running = None


def happen(candidate: Candidate, chance: random.Random) -> None:
    """One thing that a process does, or that happens to it."""
    things = ("one call", "an attempt", "failure", "lost answer", "release", "restart")
    match chance.choices(things, (30, 30, 2, 2, 1, 1))[0]:
        case "one call":
            candidate.go_on()
        case "an attempt":
            for _ in range(5):
                candidate.go_on()
        case "failure":
            candidate.leases.fail_before = True
        case "lost answer":
            candidate.leases.lose_answer = True
        case "release":
            candidate.release()
        case _:
            candidate.start()


class Election(NamedTuple):
    opened: int
    """At how many steps a gate was open."""
    moved: int
    """How often leadership moved."""
    open_at_once: int
    """The most gates that were open at one step."""


def play(seed: int, steps: int) -> Election:
    """A random election and what came of it.

    Calls interleave, fail, get lost and come late; processes stop for any time and restart; the Lease is given back.
    """
    chance, clock, kube = random.Random(seed), FakeClock(), FakeKube()
    candidates = [Candidate(number, clock, kube, chance.choice((0.98, 1.0, 1.02))) for number in range(2)]
    opened, moved, open_at_once, last = 0, 0, 0, -1
    for _ in range(steps):
        if chance.random() < 0.3:
            clock.tick(chance.choice((0.1, 1.0, 2.0, 4.0, 7.0, 9.0)))
        else:
            happen(chance.choice(candidates), chance)
        leaders = [each.number for each in candidates if each.gate.is_open]
        open_at_once = max(open_at_once, len(leaders))
        opened += len(leaders)
        if leaders and leaders[0] != last:
            moved, last = moved + 1, leaders[0]
    for each in candidates:
        if each.running is not None:
            each.running.close()
    return Election(opened, moved, open_at_once)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60)
def test_two_gates_are_never_open_at_once(seed: int) -> None:
    assert play(seed, 1000).open_at_once <= 1


def test_the_random_elections_do_have_leaders_and_do_change_them() -> None:
    election = play(1, 5000)
    assert election.opened > 500
    assert election.moved > 10


class Process:
    """An elector with its gate on the shared fake clock."""

    def __init__(self, clock: FakeClock, kube: FakeKube, name: str) -> None:
        self.gate = WriteGate(clock)
        self.elector = Elector(kube, self.gate, clock, SETTINGS, namespace="system", name="lease", identity=name)

    async def live(self) -> None:
        await self.elector.acquire()
        await self.elector.hold()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


async def test_one_of_two_leads_and_keeps_leading(clock: FakeClock, kube: FakeKube) -> None:
    processes = [Process(clock, kube, name) for name in ("a", "b")]
    tasks = [asyncio.ensure_future(process.live()) for process in processes]
    for _ in range(30):
        await clock.advance(2)
        assert [process.gate.is_open for process in processes].count(True) == 1
    await _cancel(tasks)


async def test_a_dead_leaders_lease_is_taken_within_twenty_seconds(clock: FakeClock, kube: FakeKube) -> None:
    a, b = Process(clock, kube, "a"), Process(clock, kube, "b")
    first = asyncio.ensure_future(a.live())
    await settle()
    second = asyncio.ensure_future(b.live())
    await clock.advance(31)
    await _cancel([first])
    waited = 0.0
    while not b.gate.is_open:
        await clock.advance(0.5)
        waited += 0.5
    assert 10 <= waited <= 18
    await _cancel([second])


async def test_a_released_lease_is_taken_at_the_next_try(clock: FakeClock, kube: FakeKube) -> None:
    a, b = Process(clock, kube, "a"), Process(clock, kube, "b")
    first = asyncio.ensure_future(a.live())
    await settle()
    second = asyncio.ensure_future(b.live())
    await clock.advance(5)
    await _cancel([first])
    await a.elector.release()
    assert not a.gate.is_open
    await clock.advance(2.5)
    assert b.gate.is_open
    await _cancel([second])


async def test_a_leader_that_cannot_renew_closes_its_gate_before_the_lease_runs_out(
    clock: FakeClock, kube: FakeKube
) -> None:
    a = Process(clock, kube, "a")
    task = asyncio.ensure_future(a.live())
    await clock.advance(4)
    kube.fail("update", "Lease", KubeUnavailable, times=100)
    await clock.advance(10)
    assert not a.gate.is_open
    await clock.advance(3)
    assert isinstance(task.exception(), LeadershipLost)


async def test_a_stopped_leader_finds_its_gate_closed_when_it_goes_on(clock: FakeClock, kube: FakeKube) -> None:
    a = Process(clock, kube, "a")
    task = asyncio.ensure_future(a.live())
    await settle()
    assert a.gate.is_open
    clock.tick(30)
    with pytest.raises(LeadershipLost):
        a.gate.check()
    await _cancel([task])


async def test_a_lease_that_somebody_else_took_closes_the_gate_at_once(clock: FakeClock, kube: FakeKube) -> None:
    a = Process(clock, kube, "a")
    task = asyncio.ensure_future(a.live())
    await clock.advance(3)
    kube.edit(LEASES, "system", "lease", {"spec": {"holderIdentity": "usurper"}})
    await clock.advance(4.1)
    assert not a.gate.is_open
    assert isinstance(task.exception(), LeadershipLost)


async def test_an_edit_of_the_lease_by_a_person_does_not_cost_leadership(clock: FakeClock, kube: FakeKube) -> None:
    a = Process(clock, kube, "a")
    task = asyncio.ensure_future(a.live())
    await clock.advance(3)
    kube.edit(LEASES, "system", "lease", {"metadata": {"labels": {"seen": "yes"}}})
    await clock.advance(30)
    assert a.gate.is_open
    await _cancel([task])


async def _cancel(tasks: list[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
