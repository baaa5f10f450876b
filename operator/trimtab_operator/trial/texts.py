"""Numbers and times as status shows them: rounded, with their unit, within the API's sizes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from trimtab_api.objectives import ObjectiveName
from trimtab_api.quantities import format_decimal

SENTENCE = 1024
QUERY = 4096
LARGEST = 1e14  # the API's decimals have at most 15 digits before the point

_UNITS = {
    ObjectiveName.LATENCY: "s",
    ObjectiveName.TIME_TO_FIRST_TOKEN: "s",
    ObjectiveName.INTER_TOKEN_LATENCY: "s",
    ObjectiveName.REQUESTS_PER_SECOND: "requests/s",
    ObjectiveName.JOULES_PER_REQUEST: "J",
    ObjectiveName.COST_PER_THOUSAND_REQUESTS: "currency",
}


def when(seconds: float) -> datetime:
    """Turn unix seconds into a time of whole seconds, as Kubernetes writes them."""
    return datetime.fromtimestamp(int(seconds), tz=UTC)


def count(number: int | None) -> int:
    """Write how many; what is not known is none, what is more than the API can say is cut."""
    return max(0, min(2**53 - 1, number or 0))


def rounded(value: float, digits: int = 3) -> float:
    """Round to significant digits: more would change with every tick."""
    bounded = max(-LARGEST, min(LARGEST, value)) if math.isfinite(value) else 0.0
    return float(f"{bounded:.{digits}g}")


def decimal(value: float, digits: int = 3) -> str:
    """Write a number of the API, rounded to significant digits."""
    return format_decimal(rounded(value, digits), 9)


def share(value: float) -> str:
    """Write a share, cut to 0..1 (rates that straddle a scrape may go a little beyond)."""
    return format_decimal(min(1.0, max(0.0, value)), 4)


def with_unit(value: float, unit: str, currency: str) -> str:
    """Write a value with its unit; a ratio has none, money its currency, seconds stand close to the number."""
    text = decimal(value)
    if unit == "ratio":
        return text
    if unit in ("s", "J"):
        return f"{text}{unit}"
    return f"{text} {currency if unit == 'currency' else unit}"


def unit_of(name: ObjectiveName) -> str:
    """Return the unit of an objective."""
    return _UNITS.get(name, "ratio")


def leading_number(text: str | None) -> float | None:
    """Read the number back from what `with_unit` wrote."""
    if text is None:
        return None
    number = text.split(" ")[0].rstrip("sJ")
    return float(number)
