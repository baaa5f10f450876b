"""Met or violated, with memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_operator.analysis.judgement import (
    counting_noise,
    judge_share,
    judge_value,
    margin_ratio,
    share_confidence,
    wilson,
)
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


@pytest.mark.parametrize(
    ("share", "attainment", "confidence"),
    [
        pytest.param(0.05, MET, 0.5, id="on-the-limit"),
        pytest.param(0.0, MET, 0.9891, id="far-inside"),  # 0.05 / sqrt(0.05 x 0.95 / 100) = 2.294 deviations
        pytest.param(0.1, VIOLATED, 0.9891, id="far-outside"),
        pytest.param(0.1, MET, 0.0109, id="outside-and-still-called-met"),
    ],
)
def test_confidence_is_how_likely_a_judged_share_is(share: float, attainment: Attainment, confidence: float) -> None:
    assert share_confidence(share, 0.05, 100.0, attainment) == pytest.approx(confidence, abs=1e-4)


@pytest.mark.parametrize("allowed", [0.0, 1.0])
def test_where_none_or_all_may_be_bad_there_is_no_confidence(allowed: float) -> None:
    assert share_confidence(0.1, allowed, 100.0, MET) is None


@given(share=st.floats(0.0, 1.0), allowed=st.floats(0.01, 0.5), samples=st.floats(1.0, 1e6), more=st.floats(1.0, 100.0))
def test_more_requests_make_it_surer_on_whichever_side_it_is(
    share: float, allowed: float, samples: float, more: float
) -> None:
    standing = MET if share <= allowed else VIOLATED
    few, many = (share_confidence(share, allowed, count, standing) for count in (samples, samples * more))
    assert few is not None
    assert many is not None
    assert 0.5 - 1e-12 <= few <= many + 1e-12 <= 1.0 + 1e-12


@given(share=st.floats(0.0, 1.0), allowed=st.floats(0.01, 0.5), samples=st.floats(10.0, 1e6))
def test_wilsons_interval_leaves_the_allowed_share_out_where_the_test_is_sure(
    share: float, allowed: float, samples: float
) -> None:
    low, high = wilson(share, samples, deviations=2.0)
    outside = share_confidence(share, allowed, samples, VIOLATED)
    assert outside is not None
    if outside > 0.9773:  # two deviations are 0.97725
        assert low > allowed
    if outside < 0.0227:
        assert high < allowed


@pytest.mark.parametrize(
    ("value", "limit", "at_most", "margin"),
    [
        (0.8, 1.0, True, 0.2),
        (1.2, 1.0, True, -0.2),
        (0.8, 1.0, False, -0.2),
        (5.0, 4.0, False, 0.25),
        (1.0, 0.0, True, None),
    ],
)
def test_the_margin_is_positive_on_the_right_side(
    value: float, limit: float, at_most: bool, margin: float | None
) -> None:
    found = margin_ratio(value, limit, at_most=at_most)
    assert found == (None if margin is None else pytest.approx(margin))
