"""Equal requests at the same time share one computation, and none of them waits for ever."""

from __future__ import annotations

from trimtab_engine.cache.flights import Flights, Follower
from trimtab_engine.errors import Draining, ModelFailed
from trimtab_engine.jobs import Answer, Job

KEY = bytes(16)
ANSWER = Answer(b"1234", 1, "1/base")


class Ground:
    """Flights whose jobs tell them of their end, as the engine's do."""

    def __init__(self) -> None:
        self.flights = Flights()
        self.heirs: list[Follower] = []

    def job(self, deadline: float = 10.0, priority: int = 4, size: int = 1) -> Job:
        return Job(size, 0.0, deadline, priority, lambda job: self.heirs.extend(self.flights.leave(job)))

    def joins(self, job: Job, index: int = 0) -> bool:
        return self.flights.join(Follower(job, index, "a", KEY))


def test_the_first_leads_and_its_answer_is_everyones() -> None:
    ground = Ground()
    leader, second, third = ground.job(), ground.job(11), ground.job(12)
    assert [ground.joins(job) for job in (leader, second, third)] == [False, True, True]
    assert ground.flights.waiting == 2
    ground.flights.resolve(KEY, ANSWER)
    leader.answer(0, ANSWER)
    assert [job.answers for job in (second, third)] == [[ANSWER], [ANSWER]]
    assert (ground.flights.waiting, ground.flights.followed, ground.heirs) == (0, 2, [])
    assert not ground.joins(ground.job())


def test_a_follower_takes_over_when_the_leader_fails_or_is_cancelled() -> None:
    ground = Ground()
    leader, second, third = ground.job(), ground.job(11), ground.job(12)
    for job in (leader, second, third):
        ground.joins(job)
    leader.fail(ModelFailed("it failed"))
    assert [heir.job for heir in ground.heirs] == [second]
    second.cancel()
    assert [heir.job for heir in ground.heirs] == [second, third]
    ground.flights.resolve(KEY, ANSWER)
    assert ground.flights.waiting == 0
    assert not third.ended  # it computes its own answer now


def test_a_follower_that_ends_first_is_forgotten_and_never_takes_over() -> None:
    ground = Ground()
    leader, second = ground.job(), ground.job(11)
    ground.joins(leader)
    ground.joins(second)
    second.cancel()
    assert ground.flights.waiting == 0
    leader.cancel()
    assert ground.heirs == []
    assert not ground.joins(ground.job())


def test_a_more_urgent_request_does_not_wait_behind_the_leader() -> None:
    ground = Ground()
    leader, waiting = ground.job(10), ground.job(20)
    assert [ground.joins(leader), ground.joins(waiting)] == [False, True]
    assert not ground.joins(ground.job(30, priority=0))
    leader.cancel()
    assert ground.heirs == []
    ground.flights.resolve(KEY, ANSWER)
    assert waiting.answers == [ANSWER]


def test_one_request_that_asks_the_same_twice_computes_it_once() -> None:
    ground = Ground()
    job = ground.job(size=2)
    assert [ground.joins(job, 0), ground.joins(job, 1)] == [False, True]
    ground.flights.resolve(KEY, ANSWER)
    job.answer(0, ANSWER)
    assert job.answers == [ANSWER, ANSWER]


def test_at_the_end_of_the_process_all_that_wait_are_answered() -> None:
    ground = Ground()
    leader, second = ground.job(), ground.job(11)
    ground.joins(leader)
    ground.joins(second)
    ground.flights.fail_all(Draining("the end"))
    assert isinstance(second.error, Draining)
    assert ground.flights.waiting == 0
