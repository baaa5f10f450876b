"""How long readiness waits for the first settings."""

from __future__ import annotations

from trimtab_engine.first_settings import FirstSettings


def test_without_an_agent_nothing_is_waited_for() -> None:
    assert FirstSettings(0.0).settled(10.0, 10.0)


def test_the_wait_begins_when_the_worker_is_ready_and_has_an_end() -> None:
    first = FirstSettings(5.0)
    assert not first.settled(10.0, 10.0)
    assert not first.settled(14.9, 10.0)
    assert first.settled(15.0, 10.0)


def test_settings_that_arrive_end_the_wait() -> None:
    first = FirstSettings(5.0)
    first.settle()
    assert first.settled(10.0, 10.0)


def test_what_is_settled_stays_so() -> None:
    first = FirstSettings(5.0)
    assert first.settled(20.0, 10.0)
    assert first.settled(20.1, 20.0)
