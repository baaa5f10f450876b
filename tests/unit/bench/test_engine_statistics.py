"""Ratios of paired slices and the staircase, with numbers worked out by hand."""

from __future__ import annotations

import random

import pytest

from bench.engine.extent import FULL
from bench.engine.measures.capacity import BLOCK, START_SHARE
from bench.engine.staircase import SMALLEST_STEP, Staircase, drift
from bench.engine.statistics import geometric_mean, meets, paired_ratio


def test_a_geometric_mean_of_a_ratio_and_its_inverse_is_one() -> None:
    assert geometric_mean([4.0, 0.25]) == pytest.approx(1.0)


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [-1.0]])
def test_what_has_no_geometric_mean_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        geometric_mean(values)


def test_what_slows_both_slices_of_a_pair_leaves_the_ratio_and_its_interval() -> None:
    machine = [1.0, 0.5, 1.8, 0.7, 1.2, 0.9]
    ratio = paired_ratio([1500 * speed for speed in machine], [1000 * speed for speed in machine])
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((1.5, 1.5, 1.5))
    assert ratio.pairs == 6


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    dice = random.Random(5)
    covered = 0
    for trial in range(100):
        ours = [1.2 * dice.lognormvariate(0, 0.1) for _ in range(40)]
        theirs = [dice.lognormvariate(0, 0.1) for _ in range(40)]
        ratio = paired_ratio(ours, theirs, seed=trial)
        covered += ratio.low <= 1.2 <= ratio.high
    assert 88 <= covered <= 100


def test_neighbours_that_move_together_widen_the_interval_of_a_block_bootstrap() -> None:
    drift = [1.0] * 8 + [1.2] * 8 + [1.0] * 8 + [1.2] * 8
    alone, together = paired_ratio(drift, [1.0] * 32), paired_ratio(drift, [1.0] * 32, block=8)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_slices_that_are_not_pairs_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="2 slices beside 1"):
        paired_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no pairs"):
        paired_ratio([], [])


def test_a_floor_is_met_by_the_lower_bound_not_by_the_mean() -> None:
    ratio = paired_ratio([1.3, 1.6, 1.5, 1.4, 1.2, 1.7], [1.0] * 6)
    assert ratio.mean > 1.42
    assert not meets(ratio, 1.42)
    assert meets(ratio, 1.2)


@pytest.mark.parametrize(("ours", "resolved"), [(1.0, True), (1.02, True), (1.04, False), (0.96, False)])
def test_ourselves_beside_ourselves_must_come_out_as_equal(ours: float, resolved: bool) -> None:
    assert paired_ratio([ours] * 5, [1.0] * 5).resolved is resolved


@pytest.mark.parametrize("crowd", [0.02, 0.1])
def test_a_staircase_finds_the_rate_at_which_one_in_a_hundred_is_missed_however_misses_crowd(crowd: float) -> None:
    dice = random.Random(3)
    stair, levels = Staircase(60.0), []
    for slice_number in range(1000):
        missed = crowd if dice.random() < 0.01 / crowd * (stair.rate / 140) ** 8 else 0.0
        stair = stair.after(round(1000 * (1.0 - missed)), 1000)
        if slice_number >= 20:
            levels.append(stair.rate)
    assert geometric_mean(levels) == pytest.approx(140, rel=0.04)


def test_the_interval_of_two_staircases_holds_their_true_ratio_about_four_times_in_five() -> None:
    dice, covered = random.Random(1), 0
    for _ in range(100):
        stairs = {110.0: Staircase(START_SHARE * 110.0), 100.0: Staircase(START_SHARE * 100.0)}
        levels: dict[float, list[float]] = {capacity: [] for capacity in stairs}
        for number in range(FULL.settle_rounds + FULL.climb_rounds):
            for capacity, stair in stairs.items():
                if number >= FULL.settle_rounds:
                    levels[capacity].append(stair.rate)
                held = stair.rate < capacity * dice.lognormvariate(0, 0.03)
                stairs[capacity] = stair.after(100 if held else 95, 100)
        ratio = paired_ratio(levels[110.0], levels[100.0], block=BLOCK)
        covered += ratio.low <= 1.1 <= ratio.high
    assert 70 <= covered <= 92, "docs/reference/engine-bench.md says four times in five"


def test_a_staircase_steps_finer_at_each_turn_but_never_finer_than_the_smallest_step() -> None:
    stair = Staircase(100.0)
    steps = []
    for turn in range(12):
        stair = stair.after(100 if turn % 2 else 0, 100)
        steps.append(stair.step)
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] == SMALLEST_STEP
    assert stair.settled


def test_a_staircase_that_only_falls_has_found_nothing() -> None:
    stair = Staircase(100.0)
    for _ in range(5):
        stair = stair.after(0, 100)
    assert not stair.settled
    assert stair.rate < 60


@pytest.mark.parametrize(
    ("good", "rate"), [(100, 112.0), (99, 100.0), (98, 100 / 1.12), (97, 100 / 1.12**2), (50, 100 / 1.3)]
)
def test_a_staircase_rises_without_a_miss_and_falls_by_what_is_missed_beyond_one_in_a_hundred(
    good: int, rate: float
) -> None:
    assert Staircase(100.0).after(good, 100).rate == pytest.approx(rate)


def test_a_staircase_led_astray_by_a_bad_stretch_is_back_sooner_than_by_its_smallest_steps() -> None:
    stair = Staircase(100.0)
    for good in (100, 0, 100, 0, 0):
        stair = stair.after(good, 100)
    assert stair.step < 1.04
    slices = 0
    begin = stair.rate
    while stair.rate < 135 and slices < 40:
        stair = stair.after(100, 100)
        slices += 1
    assert SMALLEST_STEP ** (2 * slices) < 135 / begin


FALLING = (230, 235, 239, 209, 213, 217, 221, 186, 190, 194, 198, 202, 170, 174, 177, 181, 152, 155, 158, 162, 165, 168)
"""Measured of a rival that missed a tenth of one slice in five, whatever the rate."""


def test_a_staircase_that_falls_for_as_long_as_it_is_watched_has_found_no_level() -> None:
    assert "went from 211/s to 169/s" in drift(FALLING)
    assert drift(FALLING[:7] + FALLING[2::-1] + FALLING[:7]) == ""
    assert drift([]) == ""
