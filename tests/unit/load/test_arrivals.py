"""The rhythms: their rates, their shape, their bounds."""

from __future__ import annotations

import pytest

from dev.load.arrivals import MAX_REQUESTS, Step, constant, rates, replayed, stepped
from dev.load.errors import LoadError
from dev.load.recordings import recorded_arrivals, recorded_keys


def test_constant_arrivals_come_at_the_asked_rate_and_in_order() -> None:
    schedule = constant(50, 100)
    assert schedule.mean_rate == pytest.approx(50, rel=0.05)
    assert list(schedule.arrivals_seconds) == sorted(schedule.arrivals_seconds)
    assert schedule.arrivals_seconds[0] >= 0
    assert schedule.arrivals_seconds[-1] < 100


def test_the_same_seed_gives_the_same_arrivals_and_another_seed_gives_others() -> None:
    assert constant(20, 10, seed=7) == constant(20, 10, seed=7)
    assert constant(20, 10, seed=7) != constant(20, 10, seed=8)


def test_steps_multiply_the_base_rate_one_after_the_other() -> None:
    schedule = stepped(40, [Step(50, 1), Step(50, 2), Step(50, 0.25)])
    assert schedule.duration_seconds == 150
    assert rates(schedule, 50) == pytest.approx((40, 80, 10), rel=0.12)


def test_a_step_of_factor_zero_is_silence() -> None:
    schedule = stepped(40, [Step(10, 0), Step(10, 1)])
    assert schedule.arrivals_seconds[0] >= 10


def test_a_replayed_recording_keeps_its_shape_at_another_rate_and_length() -> None:
    recorded = [float(at) for at in range(100)] + [100 + at / 3 for at in range(300)]
    schedule = replayed(recorded, 50, 4)
    assert len(schedule.arrivals_seconds) == 200
    first, second = rates(schedule, 25)
    assert second / first == pytest.approx(3, rel=0.2)


def test_a_recording_that_holds_too_few_arrivals_is_used_more_than_once() -> None:
    schedule = replayed([float(at) for at in range(11)], 10, 5)
    assert len(schedule.arrivals_seconds) == 50
    assert max(schedule.arrivals_seconds) <= 10


@pytest.mark.parametrize(
    ("recorded", "duration", "rate"),
    [
        pytest.param([], 10, 1, id="empty"),
        pytest.param([3.0, 3.0], 10, 1, id="one moment"),
        pytest.param([0.0, 1.0], 0, 1, id="no time"),
        pytest.param([0.0, 1.0], 10, MAX_REQUESTS, id="too many"),
    ],
)
def test_runs_that_cannot_be_made_are_refused(recorded: list[float], duration: float, rate: float) -> None:
    with pytest.raises(LoadError):
        replayed(recorded, duration, rate)


def test_the_stored_arrivals_are_the_whole_hour_of_the_recording() -> None:
    arrivals = recorded_arrivals()
    assert len(arrivals) == 19366
    assert arrivals[0] == 0
    assert 3500 < arrivals[-1] < 3503
    assert list(arrivals) == sorted(arrivals)


def test_the_stored_keys_repeat_as_a_real_cache_sees_them() -> None:
    keys = recorded_keys()
    assert len(keys) == 30000
    assert len(set(keys)) == 12549
    assert max(keys) == 12548
