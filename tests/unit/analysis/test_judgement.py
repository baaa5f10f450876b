"""Met or violated, with memory."""

from __future__ import annotations

import pytest

from trimtab_operator.analysis.judgement import counting_noise, judge_share, judge_value, wilson
from trimtab_operator.model.analysis import Attainment

MET, VIOLATED = Attainment.MET, Attainment.VIOLATED


def test_wilsons_interval_of_five_in_a_hundred() -> None:
    low, high = wilson(0.05, 100.0, deviations=1.96)
    assert (low, high) == pytest.approx((0.0215, 0.1118), abs=1e-3)  # the textbook's numbers


@pytest.mark.parametrize(
    ("share", "samples", "before", "after"),
    [
        pytest.param(0.051, 1000, None, VIOLATED, id="first-look-over"),
        pytest.param(0.049, 1000, None, MET, id="first-look-under"),
        pytest.param(0.055, 1000, MET, MET, id="noise-does-not-break-it"),
        pytest.param(0.08, 1000, MET, VIOLATED, id="evidence-does"),
        pytest.param(0.045, 1000, VIOLATED, VIOLATED, id="noise-does-not-mend-it"),
        pytest.param(0.02, 1000, VIOLATED, MET, id="evidence-mends-it"),
        pytest.param(0.0, 25, VIOLATED, MET, id="not-one-bad-request-mends-it"),
    ],
)
def test_a_share_flips_only_on_evidence(
    share: float, samples: float, before: Attainment | None, after: Attainment
) -> None:
    assert judge_share(share, 0.05, samples, before) is after


@pytest.mark.parametrize(
    ("value", "at_most", "before", "after"),
    [
        (0.90, True, None, MET),
        (0.91, True, None, VIOLATED),
        (0.91, True, MET, MET),
        (0.95, True, MET, VIOLATED),
        (0.89, True, VIOLATED, VIOLATED),
        (0.85, True, VIOLATED, MET),
        (0.89, False, None, VIOLATED),
        (0.89, False, MET, MET),
        (0.91, False, VIOLATED, VIOLATED),
        (0.95, False, VIOLATED, MET),
    ],
)
def test_a_value_flips_only_beyond_its_band(
    value: float, at_most: bool, before: Attainment | None, after: Attainment
) -> None:
    assert judge_value(value, 0.90, at_most=at_most, band=0.02, before=before) is after


def test_the_noise_of_counting_shrinks_with_the_root_and_is_whole_without_a_count() -> None:
    assert counting_noise(2450.0) == pytest.approx(0.1)
    assert counting_noise(1.0) == 1.0
    assert counting_noise(0.0) == counting_noise(None) == 1.0
