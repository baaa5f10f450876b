"""Four measured numbers give the four of the model, which gives them back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_replay.calibration import calibrate
from trimtab_replay.closed_loop import Level, run_closed_loop
from trimtab_replay.serving import ServingModel

TRUE = ServingModel(0.008, 0.0002, 4e-6, first_token_steps=6.0, overhead_seconds=0.02)


def levels(model: ServingModel, *clients: int) -> list[Level]:
    return [run_closed_loop(model, each, 1024, 256) for each in clients]


def test_a_model_is_found_again_from_two_of_its_levels_and_meets_the_others() -> None:
    low, between, high = levels(TRUE, 4, 32, 128)
    seen = levels(calibrate(low, high), 4, 32, 128)
    for one, other in zip((low, between, high), seen, strict=True):
        assert other.tpot_seconds == pytest.approx(one.tpot_seconds, rel=0.05)
        assert other.ttft_seconds == pytest.approx(one.ttft_seconds, rel=0.15)


def test_a_first_token_that_grows_faster_than_steps_leaves_nothing_for_overhead() -> None:
    low, high = Level(4, 1024, 256, 0.05, 0.01), Level(64, 1024, 256, 2.0, 0.03)
    found = calibrate(low, high)
    assert found.overhead_seconds == 0.0
    assert found.prompt_token_seconds == 0.0
    assert 5.0 < found.first_token_steps < 2.0 / 0.03


def test_a_first_token_that_does_not_grow_waits_for_no_steps() -> None:
    found = calibrate(Level(4, 1024, 256, 0.05, 0.01), Level(64, 1024, 256, 0.04, 0.03))
    assert found.first_token_steps == 0.0
    assert found.overhead_seconds > 0.0


@pytest.mark.parametrize(
    "high", [Level(4, 1024, 256, 0.1, 0.02), Level(8, 1024, 256, 0.1, 0.01)], ids=["same", "as fast"]
)
def test_two_levels_that_do_not_grow_are_refused(high: Level) -> None:
    with pytest.raises(ValueError, match="must be higher and slower"):
        calibrate(Level(4, 1024, 256, 0.05, 0.01), high)


def test_the_same_seed_gives_the_same_level_and_more_clients_wait_longer() -> None:
    one, same, more = *levels(TRUE, 16), *levels(TRUE, 16), *levels(TRUE, 64)
    assert one == same
    assert more.tpot_seconds > one.tpot_seconds
    assert more.ttft_seconds > one.ttft_seconds


@given(st.floats(1e-4, 0.05), st.floats(1e-5, 1e-3), st.floats(0.0, 20.0), st.floats(0.0, 0.2))
def test_what_is_calibrated_never_takes_less_than_no_time(
    step: float, sequence: float, steps: float, rest: float
) -> None:
    def level(clients: int) -> Level:
        token = step + clients * sequence
        return Level(clients, 1024, 1024, rest + steps * token + 1e-6, token)

    found = calibrate(level(4), level(256))
    assert min(found.step_seconds, found.sequence_seconds) > 0.0
    assert min(found.prompt_token_seconds, found.first_token_steps, found.overhead_seconds) >= 0.0
    assert replace(found, step_seconds=1.0) != found
