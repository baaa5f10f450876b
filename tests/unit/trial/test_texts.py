"""Numbers and times as status writes them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from trimtab_api.objectives import ObjectiveName
from trimtab_operator.trial import texts


def test_a_time_is_written_in_whole_seconds() -> None:
    assert texts.when(12.9) == datetime(1970, 1, 1, 0, 0, 12, tzinfo=UTC)


@pytest.mark.parametrize(("number", "written"), [(None, 0), (-3, 0), (0, 0), (5, 5), (2**53, 2**53 - 1)])
def test_a_count_is_never_below_none_nor_beyond_what_the_api_can_say(number: int | None, written: int) -> None:
    assert texts.count(number) == written


@pytest.mark.parametrize(
    ("value", "digits", "rounded"),
    [
        (1234.5, 3, 1230.0),
        (1234.5, 2, 1200.0),
        (-0.0123456, 3, -0.0123),
        (1e20, 3, 1e14),
        (-1e20, 3, -1e14),
        (math.inf, 3, 0.0),
        (math.nan, 3, 0.0),
    ],
)
def test_a_number_keeps_its_significant_digits_and_stays_within_what_the_api_can_say(
    value: float, digits: int, rounded: float
) -> None:
    assert texts.rounded(value, digits) == rounded


def test_a_number_has_three_significant_digits_unless_more_are_asked_for() -> None:
    assert texts.rounded(1.23456) == 1.23
    assert (texts.decimal(1.23456), texts.decimal(1.23456, 5)) == ("1.23", "1.2346")
    assert texts.decimal(1.26e-9) == "0.000000001", "nine places are the last"


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0"), (-0.5, "0"), (0.12344, "0.1234"), (0.5, "0.5"), (1.0, "1"), (1.5, "1")]
)
def test_a_share_has_four_places_and_lies_between_none_and_all(value: float, written: str) -> None:
    assert texts.share(value) == written


@pytest.mark.parametrize(
    ("unit", "written"),
    [("ratio", "0.25"), ("s", "0.25s"), ("J", "0.25J"), ("currency", "0.25 EUR"), ("requests/h", "0.25 requests/h")],
)
def test_a_unit_stands_as_people_write_it_and_the_number_is_read_back(unit: str, written: str) -> None:
    text = texts.with_unit(0.25, unit, "EUR")
    assert text == written
    assert texts.leading_number(text) == 0.25


def test_every_objective_has_a_unit() -> None:
    assert texts.unit_of(ObjectiveName.LATENCY) == "s"
    assert texts.unit_of(ObjectiveName.ERROR_RATIO) == "ratio"
