"""The tuner: which configuration is tried next, and when none is."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.decision.tuner.kernels import CONSTANT_SD, OFFSET_SDS, RESIDUAL_SD, SLOPE_SDS, covariances
from trimtab_operator.decision.tuner.normal import expected_excess, normal_cdf
from trimtab_operator.decision.tuner.suggest import LEAST_LIKELY, suggest
from trimtab_operator.decision.tuner.surrogate import Belief, Surrogate
from trimtab_operator.model.search import Dimension, Estimate, Observation, SearchSpace

SIZES, FORMATS = 6, 2
QUIET = 0.01
Truth = Callable[[int, int], float]


def a_space(
    *, goal: Truth = lambda size, form: 0.5 * size, limited: Truth = lambda size, form: 0.5 * size
) -> SearchSpace:
    """Batch sizes of 1 to 32, in two formats; what is expected is in logarithms."""
    levels = np.array(list(product(range(SIZES), range(FORMATS))), dtype=np.int64)
    dimensions = (Dimension("size", tuple(map(float, range(SIZES)))), Dimension("format", None))
    expected = [[truth(int(size), int(form)) for size, form in levels] for truth in (goal, limited)]
    return SearchSpace(dimensions, levels, np.array(expected[0]), np.array(expected[1])[:, None])


def at(size: int, form: int = 0) -> int:
    return size * FORMATS + form


def a_reading(place: int, goal: float, over: float = -1.0, noise: float = QUIET) -> Observation:
    return Observation(place, Estimate(goal, QUIET), (Estimate(over, noise),))


def test_the_first_step_goes_where_more_is_expected_and_the_limit_is_likely_kept() -> None:
    found = suggest(a_space(), [a_reading(at(0), 0.0, over=-1.2)])
    assert found is not None
    assert 0 < found.configuration // FORMATS <= 3
    assert found.likelihood >= LEAST_LIKELY[0]
    assert found.gain > 0.0


def test_twelve_trials_find_the_best_that_keeps_the_limit_and_break_it_seldom() -> None:
    goal: Truth = lambda size, form: 0.55 * size + 0.2 * form  # noqa: E731
    over: Truth = lambda size, form: 0.45 * size - 1.5 + 0.3 * form  # noqa: E731
    readings, broken = [a_reading(at(0), goal(0, 0), over(0, 0))], 0
    for _ in range(12):
        found = suggest(a_space(), readings)
        if found is None:
            break
        size, form = divmod(found.configuration, FORMATS)
        readings.append(a_reading(found.configuration, goal(size, form), over(size, form)))
        broken += over(size, form) > 0.0
    best = max(goal(size, form) for size, form in product(range(SIZES), range(FORMATS)) if over(size, form) <= 0.0)
    assert max(each.goal.log for each in readings if each.kept) == best
    assert broken <= 2


def test_what_was_seen_to_break_the_limit_by_far_shuts_what_would_break_it_more() -> None:
    found = suggest(a_space(), [a_reading(at(0), 0.0, over=-0.5), a_reading(at(2), 1.0, over=0.8)])
    assert found is None or found.configuration // FORMATS < 2


def test_nothing_is_tried_where_everything_else_likely_breaks_the_limit() -> None:
    every = [a_reading(at(0), 0.0, over=-0.01)] + [
        a_reading(at(size), 0.5 * size, over=1.0) for size in range(1, SIZES)
    ]
    shut = a_space(limited=lambda size, form: 0.5 * size + 3.0 * form)
    assert suggest(shut, every) is None


def test_what_kept_its_limit_is_not_tried_again() -> None:
    known = [a_reading(place, 0.0) for place in range(SIZES * FORMATS)]
    assert suggest(a_space(), known) is None


def test_what_was_by_chance_seen_to_break_the_limit_is_measured_again() -> None:
    around = [a_reading(at(0), 0.0, over=-0.2)]
    around += [a_reading(at(size), 0.0, over=-0.2) for size in (1, 2, 4, 5)]
    around += [a_reading(at(size, 1), 0.0, over=-0.2) for size in range(SIZES)]
    unlucky = [*around, a_reading(at(3), 1.0, over=0.01, noise=0.3)]
    found = suggest(a_space(limited=lambda size, form: 0.0), unlucky)
    assert found is not None
    assert found.configuration == at(3)


def test_a_search_ends_where_no_more_than_the_least_gain_is_expected() -> None:
    known = [a_reading(at(0), 0.0)]
    first = suggest(a_space(), known)
    assert first is not None
    assert suggest(a_space(), known, least_gain=first.gain * 10.0) is None


def test_more_is_to_be_gained_where_the_best_so_far_would_hardly_be_promoted() -> None:
    sizes = np.arange(3, dtype=np.int64)[:, None]
    space = SearchSpace((Dimension("size", (0.0, 1.0, 2.0)),), sizes, np.zeros(3), np.zeros((3, 1)))
    running = a_reading(0, 0.0, over=-0.1)
    sure, doubtful = (
        suggest(space, [running, a_reading(1, 1.0, over=over, noise=noise)])
        for over, noise in ((-0.5, QUIET), (0.0, 0.3))
    )
    assert sure is not None
    assert doubtful is not None
    assert doubtful.configuration == sure.configuration == 2
    assert doubtful.gain > sure.gain


@pytest.mark.parametrize("far", [-3.0, -9.0], ids=["a twentieth", "nothing"])
def test_how_far_below_its_limit_a_value_lies_says_nothing_beyond_a_tenth(far: float) -> None:
    assert suggest(a_space(), [a_reading(at(0), 0.0, over=far)]) == suggest(
        a_space(), [a_reading(at(0), 0.0, over=-50.0)]
    )


@given(st.permutations(range(1, 6)))
def test_the_order_of_later_readings_makes_no_difference(order: list[int]) -> None:
    later = [a_reading(at(size), 0.4 * size, over=0.3 * size - 1.0) for size in order]
    found = suggest(a_space(), [a_reading(at(0), 0.0), *later])
    same = suggest(a_space(), [a_reading(at(0), 0.0), *sorted(later, key=lambda each: each.configuration)])
    assert (found and found.configuration) == (same and same.configuration)


def test_what_was_measured_quietly_is_believed_and_what_is_far_from_it_is_not_sure() -> None:
    belief = Surrogate(a_space(), (at(0), at(2))).believe(a_space().goal, [Estimate(0.0, QUIET), Estimate(1.4, QUIET)])
    mean, sd = belief.average(belief.mean), belief.average(belief.sd)
    assert mean[at(2)] == pytest.approx(1.4, abs=0.02)
    assert sd[at(2)] < 0.02 < sd[at(5)]
    assert sd[at(2, 1)] > 0.3
    assert belief.weights.sum() == pytest.approx(1.0)


def test_the_kernel_that_explains_what_was_seen_weighs_most() -> None:
    steep = [Estimate(-2.0 * size, QUIET) for size in range(4)]
    belief = Surrogate(a_space(), tuple(at(size) for size in range(4))).believe(a_space().goal, steep)
    by_slope = belief.weights.reshape(len(SLOPE_SDS), len(OFFSET_SDS)).sum(axis=1)
    assert by_slope.argmax() == len(SLOPE_SDS) - 1


def test_a_posterior_is_that_of_the_textbook() -> None:
    space, places = a_space(), [at(0), at(3), at(5, 1)]
    seen = [Estimate(0.2, 0.05), Estimate(1.9, 0.1), Estimate(2.0, 0.2)]
    belief = Surrogate(space, tuple(places)).believe(space.goal, seen)
    across, variance = covariances(space, places)
    among = across[0][:, places] + np.diag([each.sd**2 + 1e-8 for each in seen])
    prior = space.goal - space.goal[places[0]] + seen[0].log
    gain = across[0].T @ np.linalg.inv(among)
    surprise = np.array([each.log for each in seen]) - prior[places]
    np.testing.assert_allclose(belief.mean[0], prior + gain @ surprise, rtol=1e-6)
    np.testing.assert_allclose(belief.sd[0] ** 2, variance[0] - (gain * across[0].T).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    "dimensions", [(), (Dimension("a", None),), (Dimension("a", (0.0,)),)], ids=["none", "words", "one"]
)
def test_a_space_may_lack_either_kind_of_knob(dimensions: tuple[Dimension, ...]) -> None:
    levels = np.zeros((1, len(dimensions)), dtype=np.int64)
    across, variance = covariances(SearchSpace(dimensions, levels, np.zeros(1), np.zeros((1, 0))), [0])
    words = sum(each.doublings is None for each in dimensions)
    assert across[0, 0, 0] == pytest.approx(variance[0, 0])
    assert variance[0, 0] == pytest.approx(CONSTANT_SD**2 + RESIDUAL_SD**2 + OFFSET_SDS[0] ** 2 * words)


@given(st.floats(-8.0, 8.0))
def test_the_normal_distribution_is_exact_to_seven_places(z: float) -> None:
    assert normal_cdf(np.array([z]))[0] == pytest.approx(NormalDist().cdf(z), abs=2e-7)


@pytest.mark.parametrize(("mean", "sd", "level"), [(0.0, 1.0, 0.5), (1.0, 0.2, 0.5), (-1.0, 0.5, 0.0)])
def test_an_expected_excess_is_the_integral_of_what_lies_above(mean: float, sd: float, level: float) -> None:
    steps = np.linspace(mean - 10.0 * sd, mean + 10.0 * sd, 200_001)
    density = np.exp(-0.5 * ((steps - mean) / sd) ** 2) / (sd * math.sqrt(2.0 * math.pi))
    integral = float((np.maximum(steps - level, 0.0) * density).sum() * (steps[1] - steps[0]))
    belief = Belief(np.array([[mean]]), np.array([[sd]]), np.array([1.0]))
    assert expected_excess(belief, level)[0] == pytest.approx(integral, abs=1e-5)
