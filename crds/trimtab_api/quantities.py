"""Quantities of the API: strings with units, their schema types, and pure functions to read and write them."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from trimtab_api.base import PATTERN_MESSAGE, VALIDATIONS

DURATION_PATTERN = r"^([0-9]+(ms|s|m|h))+$"
BYTES_PATTERN = r"^[0-9]+([.][0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$"
RATIO_PATTERN = r"^(0([.][0-9]{1,6})?|1([.]0{1,6})?)$"
VARIANT_PATTERN = r"^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$"
DECIMAL_PATTERN = r"^[0-9]{1,12}([.][0-9]{1,9})?$"
SIGNED_DECIMAL_PATTERN = r"^-?[0-9]{1,15}([.][0-9]{1,9})?$"

MAX_DURATION_SECONDS = 24 * 3600.0

_DURATION = re.compile(DURATION_PATTERN)
_DURATION_PARTS = re.compile(r"([0-9]+)(ms|s|m|h)")
_BYTES = re.compile(r"([0-9]+(?:[.][0-9]{1,3})?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_RATIO = re.compile(RATIO_PATTERN)
_SIGNED_DECIMAL = re.compile(SIGNED_DECIMAL_PATTERN)
_SECONDS_OF_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES_OF_SUFFIX = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}

_DURATION_MESSAGE = 'must be a duration in quotes, above 0 and at most 24h, such as "500ms", "5m" or "1h30m"'
_DURATION_OR_ZERO_MESSAGE = 'must be a duration in quotes from 0 to 24h, such as "0ms", "5ms" or "1m"'
_DURATION_CEL = f"self.matches('{DURATION_PATTERN}') && duration(self) <= duration('24h')"
_BYTES_MESSAGE = 'must be a size in bytes above 0, such as "512Mi", "8Gi" or "2G"'
_BYTES_CEL = f"self.matches('{BYTES_PATTERN}') && quantity(self).isGreaterThan(quantity('0'))"

Duration = Annotated[
    str,
    Field(
        min_length=2,
        max_length=16,
        pattern=DURATION_PATTERN,
        json_schema_extra={
            PATTERN_MESSAGE: None,
            VALIDATIONS: [
                {"rule": f"{_DURATION_CEL} && duration(self) > duration('0s')", "message": _DURATION_MESSAGE}
            ],
        },
    ),
]
"""Above 0 and at most 24h."""

DurationOrZero = Annotated[
    str,
    Field(
        min_length=2,
        max_length=16,
        pattern=DURATION_PATTERN,
        json_schema_extra={
            PATTERN_MESSAGE: None,
            VALIDATIONS: [{"rule": _DURATION_CEL, "message": _DURATION_OR_ZERO_MESSAGE}],
        },
    ),
]
"""From 0 to 24h."""

Bytes = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        pattern=BYTES_PATTERN,
        json_schema_extra={
            PATTERN_MESSAGE: None,
            VALIDATIONS: [{"rule": _BYTES_CEL, "message": _BYTES_MESSAGE}],
        },
    ),
]
"""A Kubernetes quantity of bytes above 0."""

BytesOrZero = Annotated[
    str,
    Field(
        min_length=1,
        max_length=20,
        pattern=BYTES_PATTERN,
        json_schema_extra={PATTERN_MESSAGE: 'must be a size in bytes, such as "0", "64Mi" or "8Gi"'},
    ),
]
"""A Kubernetes quantity of bytes; 0 turns the thing off."""

Ratio = Annotated[
    str,
    Field(
        min_length=1,
        max_length=8,
        pattern=RATIO_PATTERN,
        json_schema_extra={
            PATTERN_MESSAGE: 'must be a share from 0 to 1 as a decimal in quotes, such as "0.01" (not a percentage)'
        },
    ),
]
"""A share from 0 to 1."""

VariantName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=VARIANT_PATTERN,
        json_schema_extra={
            PATTERN_MESSAGE: "must be a name of letters, digits, '.', '_' and '-', such as \"base\" or \"distilled-3l\""
        },
    ),
]
"""A variant of a model, as its engine declares it."""

PositiveDecimal = Annotated[
    str,
    Field(
        min_length=1,
        max_length=22,
        pattern=DECIMAL_PATTERN,
        json_schema_extra={
            PATTERN_MESSAGE: None,
            VALIDATIONS: [
                {
                    "rule": f"self.matches('{DECIMAL_PATTERN}') && double(self) > 0.0",
                    "message": 'must be a decimal number above 0 in quotes, such as "2.50"',
                }
            ],
        },
    ),
]
"""A decimal number above 0."""

SignedDecimal = Annotated[str, Field(min_length=1, max_length=26, pattern=SIGNED_DECIMAL_PATTERN)]
"""A decimal number that the operator writes; may be negative."""


def parse_duration_seconds(value: str) -> float:
    """Read the seconds of a duration such as `1h30m` or `500ms`; 0 is accepted, above 24 h is not.

    Raises ValueError.
    """
    if _DURATION.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a duration such as '500ms', '5m' or '1h30m'")
    seconds = math.fsum(int(count) * _SECONDS_OF_UNIT[unit] for count, unit in _DURATION_PARTS.findall(value))
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError(f"{value!r} is longer than 24h")
    return seconds


def parse_bytes(value: str) -> int:
    """Read the bytes of a quantity such as `64Mi`, `1.5G` or `1024`, rounded up as Kubernetes does.

    Raises ValueError.
    """
    match = _BYTES.fullmatch(value)
    if match is None:
        raise ValueError(f"{value!r} is not a size such as '512Mi', '8Gi' or '2G'")
    return math.ceil(Decimal(match[1]) * _BYTES_OF_SUFFIX[match[2] or ""])


def parse_ratio(value: str) -> float:
    """Read a share from 0 to 1. Raises ValueError."""
    if _RATIO.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a share from 0 to 1 such as '0.05'")
    return float(value)


def parse_decimal(value: str) -> float:
    """Read a plain decimal number, possibly negative; no exponent. Raises ValueError."""
    if _SIGNED_DECIMAL.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not a decimal number such as '2.50'")
    return float(value)


def format_decimal(value: float, digits: int = 6) -> str:
    """Write a number as the API does: no exponent, at most `digits` (<= 9) decimals, no trailing zeros.

    Raises ValueError for NaN, infinity and numbers of more than 15 digits before the point.
    """
    if not math.isfinite(value) or abs(value) >= 1e15:
        raise ValueError(f"{value!r} cannot be written as a decimal number")
    text = f"{value:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def format_ratio(value: float) -> str:
    """Write a share from 0 to 1 with at most 6 decimals. Raises ValueError outside of that range."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{value!r} is not a share from 0 to 1")
    return format_decimal(value, 6)


def format_duration(seconds: float) -> str:
    """Write a duration in the largest single unit that is exact to a millisecond: `2h`, `90s`, `5ms`, `0ms`.

    Raises ValueError below 0 and above 24 h.
    """
    if not 0.0 <= seconds <= MAX_DURATION_SECONDS:
        raise ValueError(f"{seconds!r} s is not between 0 and 24h")
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def format_bytes(count: int) -> str:
    """Write bytes in the largest binary unit that is exact: `64Mi`, `1536Ki`, `1000`. Raises ValueError below 0."""
    if count < 0:
        raise ValueError(f"{count!r} bytes is below 0")
    for suffix in ("Ti", "Gi", "Mi", "Ki"):
        size = _BYTES_OF_SUFFIX[suffix]
        if count and count % size == 0:
            return f"{count // size}{suffix}"
    return str(count)
