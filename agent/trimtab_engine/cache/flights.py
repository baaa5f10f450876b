"""One computation for equal requests at the same time: the first leads, later ones follow and get its answer.

A follower waits no longer than its own deadline, and takes over when the leader ends without an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from trimtab_engine.errors import EngineError
from trimtab_engine.jobs import Answer, Job, Row


@dataclass(frozen=True, slots=True)
class Follower:
    """One input of a job that waits for another job's computation of the same key."""

    job: Job
    index: int
    row: str | Row
    key: bytes


class _Flight:
    __slots__ = ("followers", "leader")

    def __init__(self, leader: Job) -> None:
        self.leader = leader
        self.followers: list[Follower] = []


class Flights:
    """The keys that are being computed, who computes each, and who waits for it."""

    def __init__(self) -> None:
        self.followed = 0  # inputs that joined, ever
        self.waiting = 0  # inputs that wait now
        self._flights: dict[bytes, _Flight] = {}
        self._led: dict[Job, list[bytes]] = {}
        self._joined: dict[Job, list[bytes]] = {}

    def join(self, follower: Follower) -> bool:
        """Follow the key's computation, or lead it and return False.

        A request that is more urgent than the leader does not wait behind it: it leads from now on, and those that
        wait get whichever answer comes first.
        """
        job, key = follower.job, follower.key
        flight = self._flights.get(key)
        if flight is None:
            self._flights[key] = _Flight(job)
        elif (flight.leader.priority, flight.leader.deadline) <= (job.priority, job.deadline):
            flight.followers.append(follower)
            self._joined.setdefault(job, []).append(key)
            self.followed += 1
            self.waiting += 1
            return True
        else:
            flight.leader = job
        self._led.setdefault(job, []).append(key)
        return False

    def resolve(self, key: bytes, answer: Answer) -> int | None:
        """Give the answer of a key to all that wait for it. Returns the leader's priority, None where nobody led."""
        flight = self._flights.pop(key, None)
        if flight is None:
            return None
        self.waiting -= len(flight.followers)
        for follower in flight.followers:
            follower.job.answer(follower.index, answer)
        return flight.leader.priority

    def leave(self, job: Job) -> list[Follower]:
        """Forget a job that has ended. Returns the followers that now have to compute what it led."""
        for key in self._joined.pop(job, ()):
            self._drop(key, job)
        heirs = []
        for key in self._led.pop(job, ()):
            flight = self._flights.get(key)
            if flight is None or flight.leader is not job:
                continue
            heir = self._next_leader(flight)
            if heir is None:
                del self._flights[key]
            else:
                heirs.append(heir)
        return heirs

    def fail_all(self, error: EngineError) -> None:
        """End every job that waits for another one's computation."""
        for job in list(self._joined):
            job.fail(error)

    def _drop(self, key: bytes, job: Job) -> None:
        flight = self._flights.get(key)
        if flight is not None:
            kept = [follower for follower in flight.followers if follower.job is not job]
            self.waiting -= len(flight.followers) - len(kept)
            flight.followers = kept

    def _next_leader(self, flight: _Flight) -> Follower | None:
        while flight.followers:
            follower = flight.followers.pop(0)
            self.waiting -= 1
            if not follower.job.ended:
                flight.leader = follower.job
                self._led.setdefault(follower.job, []).append(follower.key)
                return follower
        return None
