"""Quantities: what is read, what is refused with its value named, and that writing and reading agree."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from trimtab_api.quantities import (
    Bytes,
    BytesOrZero,
    Duration,
    DurationOrZero,
    PositiveDecimal,
    Ratio,
    SignedDecimal,
    format_bytes,
    format_decimal,
    format_duration,
    format_ratio,
    parse_bytes,
    parse_decimal,
    parse_duration_seconds,
    parse_ratio,
)


class Quantities(BaseModel):
    duration: Duration = "5m"
    duration_or_zero: DurationOrZero = "0ms"
    bytes: Bytes = "1Gi"
    bytes_or_zero: BytesOrZero = "0"
    ratio: Ratio = "0.5"
    price: PositiveDecimal = "2.50"
    value: SignedDecimal = "-1.5"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1s", 1.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1s500ms", 1.5),
        ("30m1h", 5400.0),
        ("24h", 86400.0),
        ("0ms", 0.0),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("1024", 1024),
        ("64Mi", 64 * 2**20),
        ("8Gi", 8 * 2**30),
        ("1.5Ki", 1536),
        ("2k", 2000),
        ("2M", 2_000_000),
        ("1.001", 2),
        ("1Ti", 2**40),
        ("1T", 10**12),
        ("3G", 3 * 10**9),
    ],
)
def test_a_size_is_read_in_bytes_rounded_up(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((parse_duration_seconds, text) for text in ("", "5", "-5m", "2w", "5 m", "1.5h", "PT5M", "24h1ms", "5m\n")),
        *((parse_bytes, text) for text in ("", "-1", "8GB", "1e3", "Mi", "1 Gi", ".5Gi", "8gi", "1\n")),
        *((parse_ratio, text) for text in ("", "1.1", "-0.1", "80", "1%", "1e-2", ".5", "nan", "0.5\n")),
        *((parse_decimal, text) for text in ("", "1e3", "nan", "inf", "$2", "1,5", "+1", "2.")),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else value.__name__,
)
def test_what_is_no_quantity_is_refused_by_its_value(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(ValueError, match=r"is (not|longer)") as refusal:
        parse(text)
    assert repr(text) in str(refusal.value)


def test_ratios_and_decimals_are_read_as_numbers() -> None:
    assert (parse_ratio("0.05"), parse_ratio("1"), parse_ratio("1.0"), parse_ratio("0")) == (0.05, 1.0, 1.0, 0.0)
    assert (parse_decimal("2.50"), parse_decimal("-0.5")) == (2.5, -0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (format_duration(0), "0ms"),
        (format_duration(0.005), "5ms"),
        (format_duration(1.5), "1500ms"),
        (format_duration(90), "90s"),
        (format_duration(300), "5m"),
        (format_duration(7200), "2h"),
        (format_bytes(0), "0"),
        (format_bytes(1000), "1000"),
        (format_bytes(64 * 2**20), "64Mi"),
        (format_bytes(1536 * 2**10), "1536Ki"),
        (format_decimal(2.5), "2.5"),
        (format_decimal(100), "100"),
        (format_decimal(1e-9), "0"),
        (format_decimal(-1e-9), "0"),
        (format_decimal(1234567.891, digits=0), "1234568"),
        (format_ratio(1), "1"),
    ],
)
def test_quantities_are_written_as_people_write_them(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    "write",
    [
        lambda: format_duration(-1),
        lambda: format_duration(86400.1),
        lambda: format_duration(math.nan),
        lambda: format_bytes(-1),
        lambda: format_ratio(1.01),
        lambda: format_ratio(math.nan),
        lambda: format_decimal(math.nan),
        lambda: format_decimal(math.inf),
        lambda: format_decimal(1e15),
    ],
)
def test_what_the_api_cannot_say_is_not_written(write: Callable[[], str]) -> None:
    with pytest.raises(ValueError, match=r"is not|cannot|below 0"):
        write()


@given(st.integers(0, 86_400_000))
def test_a_duration_survives_writing_and_reading_to_the_millisecond(milliseconds: int) -> None:
    text = format_duration(milliseconds / 1000)
    assert round(parse_duration_seconds(text) * 1000) == milliseconds
    assert Quantities(duration_or_zero=text).duration_or_zero == text


@given(st.integers(0, 2**55))
def test_a_size_survives_writing_and_reading(count: int) -> None:
    text = format_bytes(count)
    assert parse_bytes(text) == count
    assert Quantities(bytes_or_zero=text).bytes_or_zero == text


@given(st.floats(0, 1))
def test_a_ratio_survives_writing_and_reading_to_six_digits(value: float) -> None:
    text = format_ratio(value)
    assert parse_ratio(text) == pytest.approx(value, abs=5.1e-7)
    assert Quantities(ratio=text).ratio == text


@given(st.floats(-1e14, 1e14))
def test_a_decimal_survives_writing_and_reading_to_six_digits(value: float) -> None:
    text = format_decimal(value)
    assert parse_decimal(text) == pytest.approx(value, abs=5.1e-7)
    assert Quantities(value=text).value == text


@given(st.text(max_size=8))
def test_reading_any_text_gives_a_number_or_a_value_error(text: str) -> None:
    for parse in (parse_duration_seconds, parse_bytes, parse_ratio, parse_decimal):
        try:
            number = parse(text)
        except ValueError as refusal:
            assert repr(text) in str(refusal)  # noqa: PT017 - most texts are refused, some are not
        else:
            assert math.isfinite(number)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration", "2w"),
        ("bytes", "8GB"),
        ("ratio", 0.01),
        ("ratio", "2"),
        ("price", "-1"),
        ("value", "1e3"),
    ],
)
def test_the_types_refuse_what_the_parsers_refuse(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        Quantities.model_validate({field: value})
