"""Freeze windows: is a time inside one? Times of day are those of the window's own time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from trimtab_api.policy_spec import Day, FreezeWindow, PolicySpec

_DAYS = tuple(Day)  # Monday first, as datetime.weekday counts


def unknown_time_zones(spec: PolicySpec) -> tuple[str, ...]:
    """Return the time zones of freeze windows that no database knows."""
    return tuple(window.time_zone for window in spec.freeze if _zone(window.time_zone) is None)


def frozen_by(spec: PolicySpec, now: float) -> FreezeWindow | None:
    """Return the freeze window that holds at a time (unix seconds). A window without a known time zone never holds."""
    for window in spec.freeze:
        zone = _zone(window.time_zone)
        if zone is None:
            continue
        local = datetime.fromtimestamp(now, tz=UTC).astimezone(zone)
        if _DAYS[local.weekday()] in window.days and window.from_ <= f"{local:%H:%M}" < window.to:
            return window
    return None


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # not found, not a zone file, not a key of the database
        return None
