"""Per-request headers that every protocol shares: deadline and priority."""

from __future__ import annotations

import re

from trimtab_engine.errors import BadRequest, UnsupportedEncoding
from trimtab_engine.http_message import Request
from trimtab_engine.jobs import MAX_PRIORITY

DEADLINE_HEADER = "trimtab-deadline-ms"
PROXY_TIMEOUT_HEADER = "x-envoy-expected-rq-timeout-ms"  # when Envoy gives up; clients cannot know it
PRIORITY_HEADER = "trimtab-priority"
_ENCODING_HEADER = "content-encoding"
READ = frozenset(name.encode() for name in (DEADLINE_HEADER, PROXY_TIMEOUT_HEADER, PRIORITY_HEADER, _ENCODING_HEADER))
MAX_BUDGET_SECONDS = 24 * 3600  # a longer one is taken for this
_DECIMAL = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,6})?")


def budget_seconds(request: Request, asked_seconds: float | None = None) -> float | None:
    """Return the time budget from the first byte on, in seconds; 0 or less = already past; None = not given.

    Our header wins; else the shorter of `asked_seconds`, which the protocol's body gave, and the proxy's timeout.

    Raises:
        BadRequest: not a plain decimal number.
    """
    text = request.header(DEADLINE_HEADER.encode())
    if text is None:
        given = [seconds for seconds in (asked_seconds, _proxy_timeout_seconds(request)) if seconds is not None]
        return min(given, default=None)
    if not _DECIMAL.fullmatch(text):
        raise BadRequest(
            f"header {DEADLINE_HEADER} is {text[:40]!r}; accepted is a number of milliseconds, such as 250"
        )
    return min(float(text) / 1000, MAX_BUDGET_SECONDS)


def _proxy_timeout_seconds(request: Request) -> float | None:
    """Read the proxy's header; one that is not a positive number is no fault of the client, and not used."""
    text = request.header(PROXY_TIMEOUT_HEADER.encode())
    if text is None or not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
        return None
    return min(int(text) / 1000, MAX_BUDGET_SECONDS)


def priority(request: Request) -> int | None:
    """Read the priority, 0 (first) to 9 (last); None = not given.

    Raises:
        BadRequest: anything else.
    """
    text = request.header(PRIORITY_HEADER.encode())
    if text is None:
        return None
    return check_priority(int(text) if re.fullmatch(r"-?[0-9]{1,6}", text) else text[:40], f"header {PRIORITY_HEADER}")


def check_priority(value: object, name: str) -> int:
    """Return the value as a priority.

    Raises:
        BadRequest: not a whole number from 0 to 9.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise BadRequest(f"{name} is {value!r}; accepted are whole numbers from 0 (first) to {MAX_PRIORITY} (last)")
    return value


def check_encoding(request: Request) -> None:
    """Refuse compressed bodies.

    Raises:
        UnsupportedEncoding: Content-Encoding names anything but identity.
    """
    encoding = request.header(_ENCODING_HEADER.encode())
    if encoding is not None and encoding.lower() != "identity":
        raise UnsupportedEncoding(f"Content-Encoding is {encoding[:40]!r}; accepted is identity")
